//! Pods that are given up although nobody has seen them end.

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};
use scrapefleet_policy::Backoff;

use super::{ObservedPod, Stage, pod::Hindrance};

/// How long a pod on a node that is gone must have been silent. Its node is said to be gone some forty seconds after its last
/// sign of life, so this is no wait; it is there for a node that comes back in the meantime.
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
    /// It has a node, and its program does not start there.
    NotStarted,
}

impl Abandoned {
    /// One word for events and labels.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::NotStarted => "NotStarted",
        }
    }

    /// What happened, for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Unreachable => "its node is gone or cut off",
            Self::NotStarted => "its program did not start in time",
        }
    }

    /// Ends in a row, this one included, that the slot of `pod` has had when one of `revision` takes its place.
    pub(super) fn failures(self, pod: &ObservedPod, revision: &str) -> u32 {
        match self {
            Self::NotStarted if pod.revision == revision => pod.failures.saturating_add(1),
            // The node's fault, or that of another manifest.
            Self::Unreachable | Self::NotStarted => 0,
        }
    }
}

/// Which of `pods` are given up, and why; sorted as they are.
///
/// That a pod's `/status` cannot be read is no reason: it may be the operator that cannot reach it. That its node does not
/// answer is said by Kubernetes, for each pod that was ready there.
pub(super) fn abandoned(pods: &[ObservedPod], now: Timestamp) -> Vec<(&ObservedPod, Abandoned)> {
    let lost: BTreeSet<&str> = pods
        .iter()
        .filter(|pod| pod.node_gone && is_silent(pod, now))
        .filter_map(|pod| pod.node.as_deref())
        .collect();
    let why = |pod: &ObservedPod| {
        let on_lost = pod.node.as_deref().is_some_and(|node| lost.contains(node));
        if on_lost && is_silent(pod, now) {
            Some(Abandoned::Unreachable)
        } else if is_overdue(pod, now) {
            Some(Abandoned::NotStarted)
        } else {
            None
        }
    };
    pods.iter().filter(|pod| pod.is_live()).filter_map(|pod| Some((pod, why(pod)?))).collect()
}

fn is_silent(pod: &ObservedPod, now: Timestamp) -> bool {
    pod.silent_since.is_some_and(|since| now.duration_since(since) > SILENT)
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
        Obstacle,
        fixture::{pod, second},
    };

    const NOW: i64 = 10_000;

    fn found(pods: &[ObservedPod]) -> Vec<(u32, Abandoned)> {
        abandoned(pods, second(NOW)).into_iter().map(|(pod, why)| (pod.slot, why)).collect()
    }

    /// A pod on node `n` that has been silent for so long.
    fn quiet(slot: u32, seconds: i64) -> ObservedPod {
        pod(slot).starting().with(|pod| {
            pod.node = Some("n".into());
            pod.silent_since = Some(second(NOW - seconds));
        })
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
        assert_eq!(Abandoned::NotStarted.failures(&failed, "r2"), 0);
        assert_eq!(Abandoned::Unreachable.failures(&failed, "r1"), 0);
    }
}
