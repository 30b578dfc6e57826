//! Whether pods come and go.

use super::{
    Finding,
    Verdict::{False, True},
    finding,
};
use crate::{
    plan::{Role, is_late},
    status::{Reason, View},
};

/// Whether pods come and go.
pub(super) fn progressing(view: &View) -> Finding {
    let is = |verdict, reason, message: &str| finding("Progressing", verdict, reason, message);
    let pods = || view.situation.pods.iter().filter(|pod| !pod.fenced && !is_late(view.situation, pod));
    let leaving = pods().filter(|pod| pod.terminating).count();
    let coming = pods().filter(|pod| pod.is_live() && !pod.is_available()).count();
    let live = pods().filter(|pod| pod.role == Role::Bot && pod.is_live()).count();
    if view.situation.fleet.paused {
        let message = format!("nothing is changed while the annotation `{}` is there", crate::names::PAUSED);
        is(False, Reason::Paused, &message)
    } else if view.plan.rolling {
        is(True, Reason::RollingOut, "pods are exchanged for those of the present manifest and image")
    } else if leaving > 0 {
        is(True, Reason::PodsChange, "pods drain")
    } else if coming > 0 || live != view.plan.target.count {
        is(True, Reason::PodsChange, "pods are on their way")
    } else {
        is(False, Reason::Settled, "there are as many pods as there should be")
    }
}
