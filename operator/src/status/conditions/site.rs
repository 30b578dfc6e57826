//! Whether the site can be read.

use super::{
    Finding,
    Verdict::{False, True, Unknown},
    finding,
    unseen::unseen,
    voices::{ended_for, saying},
};
use crate::{
    plan::{ExitReason, ReportedState, Role, is_site_down},
    status::{Reason, View},
};

/// Whether the site answers as it should.
pub(super) fn site(view: &View) -> Finding {
    let is = |verdict, reason, message: String| finding("SiteAvailable", verdict, reason, message);
    if let Some(message) = unseen(view) {
        return is(False, Reason::ListUnreadable, message);
    }
    if view.list_is_broken
        && let Some(complaint) = saying(view, Some(Role::Watcher), &[ReportedState::Repairing])
    {
        let message = format!(
            "the site's list cannot be read ({complaint}): is the site up, does the recipe still fit?"
        );
        return is(False, Reason::ListUnreadable, message);
    }
    if is_site_down(view.situation) {
        let complaint = saying(view, Some(Role::Bot), &[ReportedState::SiteUnavailable])
            .or_else(|| ended_for(view, ExitReason::SiteUnavailable))
            .unwrap_or_default();
        let message = format!(
            "the site is at fault ({complaint}); opening is paused and tried again by itself. Is it up? Does it refuse so \
             many (`spec.politeness`)?"
        );
        return is(False, Reason::SiteUnavailable, message);
    }
    let works = [ReportedState::Working, ReportedState::Watching, ReportedState::Standby];
    if saying(view, None, &works).is_some() {
        return is(True, Reason::Available, "the site answers as it should".into());
    }
    is(Unknown, Reason::NotKnown, "nobody has looked at the site yet".into())
}
