//! Whether the number of bots is kept as it is.

use super::{
    Finding,
    Verdict::{False, True},
    finding,
};
use crate::{
    plan::Hold,
    status::{Reason, View},
};

/// Whether the number of bots is kept as it is.
pub(super) fn scaling(view: &View) -> Finding {
    let is = |verdict, reason, message: String| finding("ScalingHeld", verdict, reason, message);
    let fleet = view.situation.fleet;
    if fleet.paused {
        return is(True, Reason::Paused, "the fleet is paused".into());
    }
    if fleet.invalid {
        return is(True, Reason::InvalidSpec, "the manifest is wrong; see Ready".into());
    }
    match &view.plan.target.hold {
        Some(Hold::DepthUnread(why)) => {
            let message =
                format!("the number of bots is kept, since the depth of the queue cannot be read: {why}");
            is(True, Reason::DepthUnread, message)
        }
        Some(Hold::SiteUnavailable) => {
            is(True, Reason::SiteUnavailable, "the number of bots is kept until the site is back".into())
        }
        None if view.situation.spec.bots.replicas.is_some() => {
            is(False, Reason::SetFromOutside, "the number of bots is set by `spec.bots.replicas`".into())
        }
        None => is(False, Reason::FollowsQueue, "the number of bots follows the queue".into()),
    }
}
