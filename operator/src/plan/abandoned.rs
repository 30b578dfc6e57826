//! Pods that are given up although nobody has seen them end.

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};
use scrapefleet_api::policies::LivenessSpec;
use scrapefleet_policy::Backoff;

use super::{ObservedPod, Stage, pod::Hindrance};

/// How long a pod on a node that is gone must have been silent. Its node is said to be gone some forty seconds after its last
/// sign of life, so this is no wait; it is there for a node that comes back in the meantime. A pod that was unready anyway
/// must have been silent for as long: its node says nothing new of it.
const SILENT: SignedDuration = SignedDuration::from_secs(20);

/// How long a pod may take from having a node to running its program. Images of a gigabyte come over slow links within it.
const START_WITHIN: Duration = Duration::from_mins(5);

/// What a slot that has failed is given beyond that, so that what cannot start is made anew less and less often.
const PATIENCE: Backoff = Backoff::from(Duration::from_secs(30)).to(Duration::from_mins(25)).jitter(0.0);

/// Why a pod is given up although nobody has seen it end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Abandoned {
    /// Its node is gone or cut off.
    Unreachable,
    /// It answered once, and answers neither its node nor the operator any more.
    Hung,
    /// It has a node, and its program does not start there.
    NotStarted,
}

impl Abandoned {
    /// One word for events and labels.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::Hung => "Hung",
            Self::NotStarted => "NotStarted",
        }
    }

    /// What happened, for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Unreachable => "its node is gone or cut off",
            Self::Hung => "it answers neither its node nor the operator",
            Self::NotStarted => "its program did not start in time",
        }
    }

    /// Ends in a row, this one included, that the slot of `pod` has had when one of `revision` takes its place.
    pub(super) fn failures(self, pod: &ObservedPod, revision: &str) -> u32 {
        match self {
            Self::Hung | Self::NotStarted if pod.revision == revision => pod.failures.saturating_add(1),
            // The node's fault, or that of another manifest.
            Self::Unreachable | Self::Hung | Self::NotStarted => 0,
        }
    }

    /// How many seconds a pod that is given up has left to end; none: what its manifest says. One that hangs hears no
    /// request to end, so waiting for it only keeps others from what it holds.
    pub(crate) const fn grace(self) -> Option<u32> {
        match self {
            Self::Hung => Some(1),
            Self::Unreachable | Self::NotStarted => None,
        }
    }
}

/// Which of `pods` are given up, and why; sorted as they are.
///
/// That a pod's `/status` cannot be read is no reason: it may be the operator that cannot reach it. That its node does not
/// answer is said by Kubernetes, for each pod that was ready there; that a pod hangs is said by its node, which finds it
/// unready. A node that ends it by itself gives it as long as a drain may take, so it is left to that only where nobody else is.
pub(super) fn abandoned<'a>(
    pods: &'a [ObservedPod],
    liveness: &LivenessSpec,
    now: Timestamp,
) -> Vec<(&'a ObservedPod, Abandoned)> {
    let lost: BTreeSet<&str> = pods
        .iter()
        .filter(|pod| pod.node_gone && is_silent(pod, now))
        .filter_map(|pod| pod.node.as_deref())
        .collect();
    // Whom nobody answers has lost its own way to them.
    let hears = pods.iter().any(|pod| pod.report.value().is_some());
    let why = |pod: &ObservedPod| {
        let on_lost = pod.node.as_deref().is_some_and(|node| lost.contains(node));
        if on_lost && is_silent(pod, now) {
            Some(Abandoned::Unreachable)
        } else if hears && is_hung(pod, liveness, now) {
            Some(Abandoned::Hung)
        } else if is_overdue(pod, now) {
            Some(Abandoned::NotStarted)
        } else {
            None
        }
    };
    pods.iter().filter(|pod| pod.is_live()).filter_map(|pod| Some((pod, why(pod)?))).collect()
}

fn is_silent(pod: &ObservedPod, now: Timestamp) -> bool {
    silence(pod, now) > SILENT
}

fn silence(pod: &ObservedPod, now: Timestamp) -> SignedDuration {
    pod.silent_since.map_or(SignedDuration::ZERO, |since| now.duration_since(since))
}

/// Whether it answers nobody, though it could: it did before, runs, and its node can tell. That the node finds it unready
/// says so only of a pod that was ready when it last spoke. Of one that waits for its site or its store it says nothing, and a
/// busy machine leaves two questions in a row unanswered now and then.
fn is_hung(pod: &ObservedPod, liveness: &LivenessSpec, now: Timestamp) -> bool {
    let Some(said) = &pod.last_said else { return false };
    let failures = u32::try_from(liveness.failures).unwrap_or(u32::MAX);
    let patience = SignedDuration::try_from(liveness.period.get().saturating_mul(failures));
    let patience = patience.unwrap_or(SignedDuration::MAX);
    let patience = if said.state.is_ready() { patience } else { patience.max(SILENT) };
    pod.stage == Stage::Starting && !pod.node_gone && silence(pod, now) >= patience
}

/// A pod without a node is waited for: one may still come, and another pod would want it as well.
fn is_overdue(pod: &ObservedPod, now: Timestamp) -> bool {
    let waits_for_node = pod.node.is_none()
        || pod.obstacle.as_ref().is_some_and(|obstacle| obstacle.kind == Hindrance::NoNode);
    let more = if pod.failures == 0 { Duration::ZERO } else { PATIENCE.delay(pod.failures, 1.0) };
    let late = |since: Timestamp| {
        let by = since.checked_add(START_WITHIN + more).unwrap_or(Timestamp::MAX);
        now > by
    };
    pod.stage == Stage::Pending && !waits_for_node && pod.since.is_some_and(late)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{
        Obstacle, Report, ReportedState,
        fixture::{pod, second},
    };

    const NOW: i64 = 10_000;

    fn found(pods: &[ObservedPod]) -> Vec<(u32, Abandoned)> {
        abandoned(pods, &LivenessSpec::default(), second(NOW))
            .into_iter()
            .map(|(pod, why)| (pod.slot, why))
            .collect()
    }

    /// A pod on node `n` that has been silent for so long.
    fn quiet(slot: u32, seconds: i64) -> ObservedPod {
        pod(slot).starting().with(|pod| {
            pod.node = Some("n".into());
            pod.silent_since = Some(second(NOW - seconds));
        })
    }

    /// The same, after it said that it is in this state.
    fn quiet_after(state: ReportedState, seconds: i64) -> ObservedPod {
        quiet(0, seconds).with(|pod| pod.last_said = Some(Report { state, ..Report::default() }))
    }

    /// The same, of which Kubernetes says that its node is gone.
    fn cut_off(slot: u32, seconds: i64) -> ObservedPod {
        quiet(slot, seconds).with(|pod| pod.node_gone = true)
    }

    /// A pod that has had a node for so long.
    fn pending(slot: u32, seconds: i64) -> ObservedPod {
        pod(slot).pending().with(|pod| {
            pod.node = Some("n".into());
            pod.since = Some(second(NOW - seconds));
        })
    }

    #[test]
    fn a_pod_on_a_node_that_is_gone_is_given_up_when_it_is_silent() {
        for (pods, expected) in [
            (vec![cut_off(0, 21)], vec![0]),
            (vec![cut_off(0, 20)], vec![]),
            // Silence alone says nothing of the pod: a policy may keep the operator from it.
            (vec![quiet(0, 9999), quiet(1, 9999)], vec![]),
            // What Kubernetes says of a pod that still answers is old.
            (vec![pod(0).with(|pod| (pod.node_gone, pod.node) = (true, Some("n".into())))], vec![]),
            // A pod that was not ready is not marked; its neighbour is.
            (vec![quiet(0, 30), cut_off(1, 60)], vec![0, 1]),
            (vec![quiet(0, 30).with(|pod| pod.node = Some("other".into())), cut_off(1, 60)], vec![1]),
            (vec![cut_off(0, 60).with(|pod| pod.terminating = true)], vec![]),
            (vec![cut_off(0, 60).with(|pod| pod.fenced = true)], vec![]),
            (vec![cut_off(0, 60).with(|pod| pod.node = None)], vec![]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|slot| (slot, Abandoned::Unreachable)).collect();
            assert_eq!(found(&pods), expected, "{pods:?}");
        }
    }

    #[test]
    fn a_pod_that_answers_neither_its_node_nor_the_operator_is_given_up_as_soon_as_it_may_not_be_alive() {
        let hung = |seconds| quiet_after(ReportedState::Working, seconds);
        let LivenessSpec { period, failures } = LivenessSpec::default();
        let patience = i64::try_from(period.get().as_secs()).unwrap() * i64::from(failures);
        for (pod, expected) in [
            (hung(patience), true),
            (hung(patience - 1), false),
            // Its node finds it well: it is the operator that cannot reach it.
            (hung(9999).with(|pod| pod.stage = Stage::Ready), false),
            // It is slow to start.
            (quiet(0, 9999), false),
            (hung(9999).with(|pod| pod.fenced = true), false),
            (hung(9999).with(|pod| pod.terminating = true), false),
            // What its node said is old.
            (hung(20).with(|pod| pod.node_gone = true), false),
        ] {
            let expected = if expected { vec![(0, Abandoned::Hung)] } else { vec![] };
            assert_eq!(found(&[pod.clone(), crate::plan::fixture::pod(1)]), expected, "{pod:?}");
            assert_eq!(found(&[pod]), [], "nobody answers: it may be the operator that is cut off");
        }
    }

    #[test]
    fn a_pod_that_was_unready_anyway_is_not_given_up_for_two_answers_that_are_late() {
        use ReportedState as S;
        for (state, ready) in [
            (S::Working, true),
            (S::Draining, true),
            (S::Watching, true),
            (S::Standby, true),
            (S::Starting, false),
            (S::Rebuilding, false),
            (S::SiteUnavailable, false),
            (S::StoreUnreachable, false),
            (S::QueueUnreachable, false),
            (S::Repairing, false),
            (S::Unknown, false),
        ] {
            let hung = |seconds| found(&[quiet_after(state, seconds), pod(1)]).len();
            assert_eq!(
                [hung(3), hung(19), hung(20)],
                [usize::from(ready), usize::from(ready), 1],
                "{state:?}"
            );
        }
    }

    #[test]
    fn a_manifest_that_is_patient_is_heeded() {
        let pods = [quiet_after(ReportedState::Working, 59), pod(1)];
        let patient = LivenessSpec { failures: 60, ..LivenessSpec::default() };
        assert_eq!(abandoned(&pods, &patient, second(NOW)), []);
        assert_eq!(abandoned(&pods, &patient, second(NOW + 1)).len(), 1);
    }

    #[test]
    fn a_pod_that_has_a_node_and_does_not_start_there_is_given_up_later_each_time() {
        let obstacle = |kind| Some(Obstacle { kind, said: "so".into() });
        for (pod, expected) in [
            (pending(0, 300), false),
            (pending(0, 301), true),
            (pending(0, 301).with(|pod| pod.obstacle = obstacle(Hindrance::Image)), true),
            (pending(0, 301).with(|pod| pod.obstacle = obstacle(Hindrance::Volume)), true),
            (pending(0, 9999).with(|pod| pod.obstacle = obstacle(Hindrance::NoNode)), false),
            (pending(0, 9999).with(|pod| pod.node = None), false),
            (pending(0, 330).with(|pod| pod.failures = 1), false),
            (pending(0, 331).with(|pod| pod.failures = 1), true),
            (pending(0, 1800).with(|pod| pod.failures = 99), false),
            (pending(0, 1801).with(|pod| pod.failures = 99), true),
            (pending(0, 9999).with(|pod| pod.stage = Stage::Starting), false),
            (pending(0, 9999).with(|pod| pod.fenced = true), false),
            (pending(0, 9999).with(|pod| pod.terminating = true), false),
        ] {
            let expected = if expected { vec![(0, Abandoned::NotStarted)] } else { vec![] };
            assert_eq!(found(std::slice::from_ref(&pod)), expected, "{pod:?}");
        }
    }

    #[test]
    fn only_what_does_not_start_of_the_same_revision_is_a_failure() {
        let failed = pod(0).with(|pod| pod.failures = 2);
        assert_eq!(Abandoned::NotStarted.failures(&failed, "r1"), 3);
        assert_eq!(Abandoned::Hung.failures(&failed, "r1"), 3);
        assert_eq!(Abandoned::NotStarted.failures(&failed, "r2"), 0);
        assert_eq!(Abandoned::Unreachable.failures(&failed, "r1"), 0);
    }
}
