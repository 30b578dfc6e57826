//! When to stop asking someone who fails, and when to ask again.

use std::time::Duration;

use tokio::time::Instant;

use crate::recent::Recent;

/// A circuit breaker: closed until too many failures, then open for a while, then half open to let one probe
/// through, whose outcome closes it or opens it again.
///
/// ```
/// # use std::time::Duration;
/// # use scrapefleet_policy::{Breaker, Instant};
/// # fn ask() -> Result<(), String> { Ok(()) }
/// let mut site = Breaker::after(5).failures_within(Duration::from_secs(60)).cooldown(Duration::from_secs(15));
/// if site.try_pass(Instant::now()) {
///     match ask() {
///         Ok(()) => site.success(Instant::now()),
///         Err(_) => site.failure(Instant::now()),
///     }
/// }
/// ```
///
/// A probe whose outcome is not heard of within another cooldown counts as lost and the next one is let through,
/// so that the breaker is never open for ever. Outcomes of calls that were let through before it opened are ignored
/// while it is open; in half open they count as the probe's, being as fresh a sign of how the other side is.
#[derive(Debug, Clone)]
pub struct Breaker {
    failures: Recent,
    cooldown: Duration,
    phase: Phase,
}

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything is let through.
    Closed,
    /// Nothing is let through.
    Open,
    /// One probe is let through, or on its way.
    HalfOpen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { since: Instant },
    Probing { since: Instant },
}

impl Breaker {
    /// Opens at failure number `failures` (0 counts as 1) within a minute, for 15 seconds.
    #[must_use]
    pub fn after(failures: u32) -> Self {
        Self {
            failures: Recent::new(failures, Duration::from_mins(1)),
            cooldown: Duration::from_secs(15),
            phase: Phase::Closed,
        }
    }

    /// Counts the failures of the last `window`. Forgets those counted so far.
    #[must_use]
    pub fn failures_within(self, window: Duration) -> Self {
        Self { failures: self.failures.with_window(window), ..self }
    }

    /// Stays open for `cooldown` before a probe is let through.
    #[must_use]
    pub fn cooldown(self, cooldown: Duration) -> Self {
        Self { cooldown, ..self }
    }

    /// Whether a call would be let through now. Asking changes nothing.
    #[must_use]
    pub fn allows(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Closed => true,
            Phase::Open { since } | Phase::Probing { since } => self.has_cooled(since, now),
        }
    }

    /// Lets a call through, or not. In half open the one let through is the probe: report its outcome.
    #[must_use]
    pub fn try_pass(&mut self, now: Instant) -> bool {
        let passes = self.allows(now);
        if passes && self.phase != Phase::Closed {
            self.phase = Phase::Probing { since: now };
        }
        passes
    }

    /// A call that was let through succeeded.
    pub fn success(&mut self, now: Instant) {
        if self.state(now) == BreakerState::HalfOpen {
            self.phase = Phase::Closed;
        }
    }

    /// A call that was let through failed.
    pub fn failure(&mut self, now: Instant) {
        match self.state(now) {
            BreakerState::Open => {}
            BreakerState::HalfOpen => self.open(now),
            BreakerState::Closed => {
                self.failures.add(now);
                if self.failures.is_full(now) {
                    self.open(now);
                }
            }
        }
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { since } if !self.has_cooled(since, now) => BreakerState::Open,
            Phase::Open { .. } | Phase::Probing { .. } => BreakerState::HalfOpen,
        }
    }

    /// How long until a call can be let through; zero when one can be now.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        match self.phase {
            Phase::Closed => Duration::ZERO,
            Phase::Open { since } | Phase::Probing { since } => {
                self.cooldown.saturating_sub(now.saturating_duration_since(since))
            }
        }
    }

    fn open(&mut self, now: Instant) {
        self.failures.clear();
        self.phase = Phase::Open { since: now };
    }

    fn has_cooled(&self, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) >= self.cooldown
    }
}

#[cfg(test)]
mod tests;
