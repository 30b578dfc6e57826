//! How long to wait before trying again.
//!
//! Own arithmetic and no library (`backon` is the one to take for less), for three reasons. A task carries its attempt's number
//! from bot to bot, so a delay is asked for by number: an iterator would have to be made and run through again for each. Chance is
//! handed in, so that a simulation replays from its seed: an iterator draws for itself. And the manifest promises a longest delay
//! and a share of it that is random: there the random part is as large as the delay, and comes on top of the longest.

use std::time::Duration;

/// Delays that grow by a factor up to a most, each with a random share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The delay before the second attempt.
    pub initial: Duration,
    /// The longest delay; no delay is ever longer.
    pub max: Duration,
    /// What each delay is multiplied by to get the next; below 1 (or not a number) counts as 1.
    pub factor: f64,
    /// The share of a delay that is random, from 0 (none) to 1 (all of it); what is outside is clamped, not a
    /// number counts as 0.
    pub jitter: f64,
}

impl Backoff {
    /// Delays that start at `initial` and double, up to five minutes, with a fifth of each random.
    #[must_use]
    pub const fn from(initial: Duration) -> Self {
        Self { initial, max: Duration::from_mins(5), factor: 2.0, jitter: 0.2 }
    }

    /// The same delay every time, not random.
    #[must_use]
    pub const fn constant(delay: Duration) -> Self {
        Self { initial: delay, max: delay, factor: 1.0, jitter: 0.0 }
    }

    /// The same, no delay longer than `max`.
    #[must_use]
    pub const fn to(self, max: Duration) -> Self {
        Self { max, ..self }
    }

    /// The same, each delay `factor` times the one before.
    #[must_use]
    pub const fn factor(self, factor: f64) -> Self {
        Self { factor, ..self }
    }

    /// The same, a share of each delay random.
    #[must_use]
    pub const fn jitter(self, jitter: f64) -> Self {
        Self { jitter, ..self }
    }

    /// The delay after failed attempt number `attempt` (1 = before the second try; 0 counts as 1).
    ///
    /// `random` is from 0 to 1: at 1 the delay is whole, at 0 it lacks its random share. Never over `max`,
    /// whatever the numbers.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let steps = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let whole = self.initial.as_secs_f64() * self.growth().powi(steps);
        let random_share = share(self.jitter) * (1.0 - share(random));
        let seconds = whole.min(self.max.as_secs_f64()) * (1.0 - random_share);
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max).min(self.max)
    }

    fn growth(&self) -> f64 {
        self.factor.max(1.0) // max() ignores what is not a number
    }
}

impl Default for Backoff {
    /// One second, doubling up to five minutes, a fifth of each delay random.
    fn default() -> Self {
        Self::from(Duration::from_secs(1))
    }
}

fn share(number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests;
