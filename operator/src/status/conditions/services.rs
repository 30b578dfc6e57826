//! Whether the queue and the store can be used.

use super::{
    Finding,
    Verdict::{False, True, Unknown},
    finding,
    voices::{ended_for, saying},
};
use crate::{
    plan::{ExitReason, ReportedState, Role},
    status::{Reason, View},
};

/// Whether the queue can be reached.
pub(super) fn queue(view: &View) -> Finding {
    let is = |verdict, reason, message: String| finding("QueueReachable", verdict, reason, message);
    let url = view.situation.spec.queue.rabbitmq.as_ref().map_or("", |queue| queue.url.as_str());
    if let Some(missing) = view.outside.and_then(|outside| outside.queue_secret.missing()) {
        return is(False, Reason::SecretMissing, missing.to_owned());
    }
    if let Some(complaint) = ended_for(view, ExitReason::QueueMismatch) {
        let message = format!(
            "a queue of this fleet on the broker at {url} was made otherwise than this manifest wants it: delete it when it is \
             empty, and it is made anew; or set the manifest back; or use another, by another name of the lane or of the fleet, \
             or another vhost in `spec.queue.rabbitmq.url`. Which and how: {complaint}"
        );
        return is(False, Reason::QueueMismatch, message);
    }
    let complaint = saying(view, None, &[ReportedState::QueueUnreachable])
        .or_else(|| ended_for(view, ExitReason::QueueUnreachable));
    if let Some(complaint) = complaint {
        let message = format!(
            "the queue at {url} cannot be reached ({complaint}): see that the broker is up, that the name leads to it, \
             and that the Secret is right"
        );
        return is(False, Reason::Unreachable, message);
    }
    let works = [ReportedState::Working, ReportedState::Watching, ReportedState::Standby];
    if saying(view, None, &works).is_some() {
        return is(True, Reason::Reachable, "bots and watchers reach the queue".into());
    }
    match view.outside.and_then(|outside| outside.broker_answers) {
        Some(true) => is(True, Reason::Reachable, "the broker answers".into()),
        Some(false) => is(
            False,
            Reason::Unreachable,
            view.situation.depth.why().unwrap_or("the broker does not answer").to_owned(),
        ),
        None => is(Unknown, Reason::NotKnown, "nobody has tried to reach the queue yet".into()),
    }
}

/// Whether the store can be used.
pub(super) fn store(view: &View) -> Finding {
    let is = |verdict, reason, message: String| finding("StoreReachable", verdict, reason, message);
    if let Some(missing) = view.outside.and_then(|outside| outside.store_secret.missing()) {
        return is(False, Reason::SecretMissing, missing.to_owned());
    }
    let complaint = saying(view, Some(Role::Bot), &[ReportedState::StoreUnreachable])
        .or_else(|| ended_for(view, ExitReason::StoreUnreachable));
    if let Some(complaint) = complaint {
        let store = view.situation.spec.store.s3.as_ref();
        let bucket = store.map_or("", |store| store.bucket.as_str());
        let at = store
            .and_then(|store| store.endpoint.as_deref())
            .map(|at| format!(" at {at}"))
            .unwrap_or_default();
        let message = format!(
            "the bucket `{bucket}`{at} cannot be used ({complaint}): see that it is there, and that the Secret's key may \
             put, list and get"
        );
        return is(False, Reason::Unreachable, message);
    }
    if saying(view, Some(Role::Bot), &[ReportedState::Working]).is_some() {
        return is(True, Reason::Reachable, "no bot complains of the store".into());
    }
    is(Unknown, Reason::NotKnown, "no bot works yet".into())
}
