//! Whether it works, but not as it should.

use super::{
    Finding,
    Verdict::{False, True},
    finding,
    voices::{ending, obstacle, slot, vacancies},
};
use crate::{
    plan::{Blame, ObservedPod, is_late},
    status::{Reason, View},
};

/// Whether it works, but not as it should.
pub(super) fn degraded(view: &View, services: [&Finding; 2]) -> Finding {
    let is = |reason, message: String| finding("Degraded", True, reason, message);
    if let Some(refused) = view.refused {
        return is(Reason::Refused, format!("what the operator asks for is refused: {refused}"));
    }
    if let Some(service) = services.into_iter().find(|service| service.verdict == False) {
        return is(service.reason, service.message.clone());
    }
    if let Some((pod, why)) = obstacle(view) {
        return is(Reason::PodsCannotStart, format!("pod {pod} cannot start: {why}"));
    }
    if let Some(message) = still_there(view) {
        return is(Reason::PodsDoNotEnd, message);
    }
    let failing: Vec<(&ObservedPod, String)> = vacancies(view)
        .filter(|vacancy| vacancy.exit.why.blame() == Blame::Pod && vacancy.pod.failures > 0)
        .map(|vacancy| (vacancy.pod, ending(&vacancy)))
        .collect();
    match failing.as_slice() {
        [] => finding("Degraded", False, Reason::AsWanted, "no pod keeps failing"),
        [(pod, how), others @ ..] => {
            let more = if others.is_empty() { String::new() } else { format!(", and {} more", others.len()) };
            let again = pod.failures.saturating_add(1);
            is(
                Reason::PodsFail,
                format!(
                    "{} ended {again} times in a row: {how}{more}; it is tried again, less and less often",
                    slot(pod)
                ),
            )
        }
    }
}

/// Of pods that should have ended and are still there.
fn still_there(view: &View) -> Option<String> {
    let mut late = view.situation.pods.iter().filter(|pod| !pod.fenced && is_late(view.situation, pod));
    let pod = late.next()?;
    let more = late.count();
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    let node = pod.node.as_deref().map(|node| format!(" on node {node}")).unwrap_or_default();
    let by = view.situation.ends_by.get(&pod.uid).map(|at| format!(" at {at:.0}")).unwrap_or_default();
    Some(format!(
        "pod {}{node}{more} should have ended{by} and is still there; it is not counted any more. Its node is gone or hangs, or \
         a finalizer keeps it: when the node is gone for good, `kubectl delete node`, or `kubectl delete pod --force`",
        pod.name
    ))
}
