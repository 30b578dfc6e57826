//! Who leads: what to do next, decided from what was answered and from this process's own clock.
//!
//! The rules are client-go's. Two of them keep leaders apart:
//!
//! * A leader leads until the renew deadline after it *began* its last renewal that succeeded.
//! * Others take the lease when they have *seen* it unchanged for the lease's duration, which is longer.
//!
//! Whatever time the calls took, the first ends before the second. No time of day is ever compared, and every write
//! carries the version that it was decided on, so that the API server refuses it when anything has changed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use scrapefleet_policy::{Instant, Jitter};

use super::{Lost, Timing, record};

/// The longest name of a holder that is shown, in characters: as long as the name of a pod.
const LONGEST_HOLDER: usize = 253;

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    /// Ask the API server this and report the answer.
    Ask(Request),
    /// Nothing before then.
    Wait(Instant),
    /// The lease is lost: stop at once.
    Lost(Lost),
    /// What there was to give back is given back.
    Left,
}

/// A request to the API server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// Read the lease.
    Read,
    /// Make the lease.
    Create(Box<Lease>),
    /// Replace the lease, if it still has the version in this one.
    Replace(Box<Lease>),
}

/// What the API server answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// The lease as it is: read, or as it was written.
    Is(Box<Lease>),
    /// There is none.
    Absent,
    /// It changed meanwhile; nothing was written.
    Conflict,
    /// No answer, or none that helps. What was to be written may have been.
    Failed(String),
}

/// Decides what one process does to lead.
#[derive(Debug)]
pub(crate) struct Elector {
    identity: String,
    timing: Timing,
    jitter: Jitter,
    basis: Basis,
    /// What the lease said last, and when it was first seen to say so.
    seen: Option<(LeaseSpec, Instant)>,
    /// This process leads until then.
    until: Option<Instant>,
    /// Nothing is to be done before then.
    rest: Option<Instant>,
    /// A conflict was met since the last rest.
    conflict: bool,
    /// Whether the request under way is a write; `None` when none is under way.
    writing: Option<bool>,
    /// A write was begun at any time, so that the lease may be ours.
    wrote: bool,
    leaving: bool,
    taken: Option<Lost>,
    failure: Option<String>,
}

/// What the next step is decided on.
#[derive(Debug)]
enum Basis {
    /// The lease has to be read first.
    Unknown,
    /// There is no lease; it may be made.
    Absent,
    /// The lease is this; it may be replaced.
    Is(Box<Lease>),
}

impl Elector {
    /// One who waits. `identity` is this process's alone, and never used again.
    pub(crate) fn new(identity: String, timing: Timing, jitter: Jitter) -> Self {
        Self {
            identity,
            timing,
            jitter,
            basis: Basis::Unknown,
            seen: None,
            until: None,
            rest: None,
            conflict: false,
            writing: None,
            wrote: false,
            leaving: false,
            taken: None,
            failure: None,
        }
    }

    /// Whether this process leads now.
    pub(crate) fn leads(&self, now: Instant) -> bool {
        self.taken.is_none() && self.until.is_some_and(|until| now < until)
    }

    /// Until when this process leads if no renewal succeeds; none while it waits.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Who holds the lease, as far as this process knows.
    pub(crate) fn holder(&self) -> Option<&str> {
        self.seen.as_ref().and_then(|(spec, _)| record::holder(spec))
    }

    /// Why the last call failed; none when it did not.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// From now on the lease is given back, if it is ours. What it protects has stopped already.
    pub(crate) fn leave(&mut self) {
        self.leaving = true;
        self.until = None;
        self.rest = None;
        if self.writing.take() == Some(true) {
            self.basis = Basis::Unknown;
        }
    }

    /// What to do at `now`, where the calendar shows `wall`.
    pub(crate) fn next(&mut self, now: Instant, wall: Timestamp) -> Next {
        if self.leaving {
            return self.next_of_leaving(wall);
        }
        if let Some(lost) = self.lost(now) {
            return Next::Lost(lost);
        }
        if let Some(rest) = self.rest.filter(|rest| now < *rest) {
            return Next::Wait(self.until.map_or(rest, |until| rest.min(until)));
        }
        let held = |lease| record::held_by(&self.identity, lease, &self.timing, wall);
        let request = match &self.basis {
            Basis::Unknown => Request::Read,
            Basis::Absent => Request::Create(Box::new(held(Lease::default()))),
            Basis::Is(lease) => Request::Replace(Box::new(held((**lease).clone()))),
        };
        self.ask(request)
    }

    /// Takes in the answer to the last request, which was begun at `began` and answered at `now`.
    pub(crate) fn answered(&mut self, answer: Answer, began: Instant, now: Instant) {
        let wrote = self.writing.take().unwrap_or(false);
        self.failure = None;
        match answer {
            Answer::Is(lease) if wrote => self.written(lease, began, now),
            Answer::Is(lease) => self.found(lease, began, now),
            Answer::Absent => self.absent(began, now),
            Answer::Conflict => self.conflicted(began),
            Answer::Failed(why) => {
                self.failure = Some(why);
                self.basis = Basis::Unknown;
                self.rest_from(began);
            }
        }
    }

    fn next_of_leaving(&mut self, wall: Timestamp) -> Next {
        if self.failure.is_some() {
            return Next::Left; // the lease runs out by itself
        }
        match &self.basis {
            Basis::Unknown if self.wrote => self.ask(Request::Read),
            Basis::Is(lease) if self.is_ours(lease) => {
                let released = record::released((**lease).clone(), wall);
                self.ask(Request::Replace(Box::new(released)))
            }
            _ => Next::Left,
        }
    }

    fn ask(&mut self, request: Request) -> Next {
        let write = request != Request::Read;
        self.writing = Some(write);
        self.wrote |= write;
        Next::Ask(request)
    }

    fn lost(&self, now: Instant) -> Option<Lost> {
        let expired = self.until.is_some_and(|until| now >= until);
        let too_late = || Lost::Expired { limit: self.timing.renew_deadline, last: self.failure.clone() };
        self.taken.clone().or_else(|| expired.then(too_late))
    }

    fn written(&mut self, lease: Box<Lease>, began: Instant, now: Instant) {
        self.sight(&lease, now);
        self.basis = Basis::Is(lease);
        self.conflict = false;
        if self.leaving {
            return;
        }
        let until = began + self.timing.renew_deadline;
        // Who was so slow that the time is over begins only with a faster renewal.
        if self.until.is_some() || now < until {
            self.until = Some(until);
            self.rest = Some(began + self.timing.retry);
        }
    }

    fn found(&mut self, lease: Box<Lease>, began: Instant, now: Instant) {
        self.sight(&lease, now);
        let of_another =
            !self.is_ours(&lease) && lease.spec.as_ref().is_some_and(|s| record::holder(s).is_some());
        if of_another && self.until.is_some() {
            let by = self.holder().unwrap_or_default().chars().take(LONGEST_HOLDER).collect();
            self.taken = Some(Lost::Taken { by });
        } else if of_another && !self.leaving && self.wait_for_expiry(began, now) {
            self.basis = Basis::Unknown;
        } else {
            self.basis = Basis::Is(lease);
        }
    }

    /// A lease that is gone was deleted by somebody, and its holder may not know yet: it is waited for all the same.
    fn absent(&mut self, began: Instant, now: Instant) {
        let of_another = self.holder().is_some_and(|holder| holder != self.identity);
        let waits = of_another && self.until.is_none() && self.wait_for_expiry(began, now);
        self.basis = if waits { Basis::Unknown } else { Basis::Absent };
    }

    /// Somebody wrote in between. A leader looks at once who it was; others wait for their next turn.
    fn conflicted(&mut self, began: Instant) {
        self.basis = Basis::Unknown;
        let first = !std::mem::replace(&mut self.conflict, true);
        if !(first && self.until.is_some()) {
            self.rest_from(began);
        }
    }

    /// Whether the lease last seen can still be its holder's; then the next look is in its turn, or when it can not.
    fn wait_for_expiry(&mut self, began: Instant, now: Instant) -> bool {
        let Some(expiry) = self.seen.as_ref().map(|(spec, at)| *at + record::patience(spec, &self.timing))
        else {
            return false;
        };
        if now >= expiry {
            return false;
        }
        self.rest_from(began);
        self.rest = self.rest.map(|rest| rest.min(expiry));
        true
    }

    fn rest_from(&mut self, began: Instant) {
        self.conflict = false;
        self.rest = Some(began + self.timing.look(self.jitter.draw()));
    }

    /// Notes what the lease says. A version that changed without what it says (a label, say) renews nothing.
    fn sight(&mut self, lease: &Lease, now: Instant) {
        let spec = lease.spec.clone().unwrap_or_default();
        if self.seen.as_ref().is_none_or(|(known, _)| *known != spec) {
            self.seen = Some((spec, now));
        }
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        lease.spec.as_ref().and_then(record::holder) == Some(self.identity.as_str())
    }
}

/// The time left before `until`, at most `limit`: what one call may take.
pub(crate) fn limit(limit: Duration, until: Option<Instant>, now: Instant) -> Duration {
    until.map_or(limit, |until| limit.min(until.saturating_duration_since(now)))
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
