//! What an observation means for a held item.

use scrapefleet_browser::Observation;
use scrapefleet_queue::Reason;
use tokio::time::{Duration, Instant};

use crate::hold::{Hold, Stage};

/// How long an item may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldLimits {
    /// Past this an item is opened afresh once.
    pub soft: Duration,
    /// Past this the attempt has failed.
    pub hard: Duration,
    /// How often an item that is lost from its page is opened again within one attempt.
    pub reopenings: u32,
}

/// What to do with an item after a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing.
    Wait,
    /// Its artifact can be taken.
    Take,
    /// The site no longer has it.
    RecordGone {
        /// What the site said.
        proof: String,
    },
    /// Open it again.
    Reopen {
        /// Why.
        why: String,
    },
    /// The attempt has failed.
    Fail {
        /// The class of failure.
        reason: Reason,
        /// What to tell people.
        why: String,
    },
}

/// What `observation` means for `hold`.
#[must_use]
pub fn judge(hold: &Hold, observation: &Observation, limits: &HoldLimits, now: Instant) -> Judgement {
    if matches!(hold.stage, Stage::Storing | Stage::Waiting) {
        return Judgement::Wait;
    }
    match observation {
        Observation::Ended => Judgement::Take,
        Observation::Gone { proof } => Judgement::RecordGone { proof: proof.clone() },
        Observation::Lost { why } => reopen_or_fail(hold, why, limits),
        Observation::Opening | Observation::Live { .. } => overdue(hold, limits, now),
    }
}

fn reopen_or_fail(hold: &Hold, why: &str, limits: &HoldLimits) -> Judgement {
    if hold.reopened < limits.reopenings {
        return Judgement::Reopen { why: why.to_owned() };
    }
    let why = format!("lost from its page {} times, the last time: {why}", hold.reopened + 1);
    Judgement::Fail { reason: Reason::OpenFailed, why }
}

fn overdue(hold: &Hold, limits: &HoldLimits, now: Instant) -> Judgement {
    let since = now.duration_since(hold.claimed);
    if since >= limits.hard {
        let why = format!("held for {since:.0?} without an end; policies.hold.hard is {:.0?}", limits.hard);
        return Judgement::Fail { reason: Reason::HoldExpired, why };
    }
    if since >= limits.soft && !hold.refreshed {
        return Judgement::Reopen { why: format!("held for {since:.0?}, in case its page missed the end") };
    }
    Judgement::Wait
}
