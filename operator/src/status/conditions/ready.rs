//! Whether the fleet works.

use super::{
    Finding,
    Verdict::{False, True},
    finding,
    voices::{obstacle, said_by},
};
use crate::{
    plan::{ObservedPod, Role},
    status::{Reason, View},
};

/// How many problems of a manifest are told at once.
const PROBLEMS: usize = 3;

/// Whether the fleet works as it should.
pub(super) fn ready(view: &View, services: [&Finding; 2]) -> Finding {
    let is = |verdict, reason, message: String| finding("Ready", verdict, reason, message);
    let fleet = view.situation.fleet;
    if !view.problems.is_empty() {
        return is(False, Reason::InvalidSpec, wrong(view));
    }
    if fleet.deleting {
        return is(False, Reason::Deleting, "the fleet is being deleted: its bots drain first".into());
    }
    if let Some(pod) = &view.plan.refused_by {
        let said = said_by(view, pod);
        let message = format!(
            "pod {pod} cannot work with this manifest{said}; nothing is replaced until the manifest changes"
        );
        return is(False, Reason::BadConfiguration, message);
    }
    if view.situation.spec.suspend {
        return is(
            False,
            Reason::Suspended,
            "the fleet is suspended; `spec.suspend: false` starts it again".into(),
        );
    }
    for service in services {
        if service.verdict == False && service.reason == Reason::SecretMissing {
            return is(False, Reason::SecretMissing, service.message.clone());
        }
    }
    counted(view)
}

/// What is wrong with the manifest, and what becomes of the fleet meanwhile.
fn wrong(view: &View) -> String {
    let told: Vec<String> = view.problems.iter().take(PROBLEMS).map(ToString::to_string).collect();
    let more = view.problems.len() - told.len();
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    let meanwhile = if view.situation.pods.iter().any(ObservedPod::is_live) {
        "bots go on with what they were made of"
    } else {
        "until that is mended no bot is made"
    };
    format!("{}{more}; {meanwhile}", told.join("; "))
}

/// Whether as many pods are ready as there should be.
fn counted(view: &View) -> Finding {
    let available =
        |role| view.situation.pods.iter().filter(|pod| pod.role == role && pod.is_available()).count();
    let (bots, wanted) = (available(Role::Bot), view.plan.target.count);
    if view.plan.watchers > 0 && available(Role::Watcher) == 0 {
        return finding(
            "Ready",
            False,
            Reason::NoWatcher,
            "no watcher is ready: nothing new is discovered".to_owned() + &hint(view),
        );
    }
    if bots < wanted {
        let message = format!("{bots} of {wanted} bots are ready{}", hint(view));
        return finding("Ready", False, Reason::TooFewBots, message);
    }
    finding("Ready", True, Reason::AsWanted, "all bots that there should be are ready")
}

/// What keeps pods from being ready, in short.
fn hint(view: &View) -> String {
    obstacle(view).map(|(pod, why)| format!("; {pod} waits: {why}")).unwrap_or_default()
}
