//! Something that must happen again and again.

use std::time::Duration;

use scrapefleet_policy::Instant;

use super::Condition;

/// When it last happened, and how soon it must again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pulse {
    deadline: Duration,
    last: Option<Instant>,
}

impl Pulse {
    /// It happens now.
    pub(super) fn beating(deadline: Duration, now: Instant) -> Self {
        Self { deadline, last: Some(now) }
    }

    /// It need not happen for now.
    pub(super) fn idle(deadline: Duration) -> Self {
        Self { deadline, last: None }
    }

    /// It happened.
    pub(super) fn beat(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// It must happen from now on, if it need not before.
    pub(super) fn start(&mut self, now: Instant) {
        self.last.get_or_insert(now);
    }

    /// It need not happen from now on.
    pub(super) fn stop(&mut self) {
        self.last = None;
    }

    /// How long ago it happened; none while it need not.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.last.map(|last| now.saturating_duration_since(last))
    }

    /// Whether it happened in time; if not, the reason begins with `missing`.
    pub(super) fn condition(&self, now: Instant, missing: &str) -> Condition {
        let late = self.age(now).filter(|age| *age > self.deadline);
        Condition::because(
            late.map(|age| format!("{missing} for {age:.1?}, allowed are {:?}", self.deadline)),
        )
    }
}
