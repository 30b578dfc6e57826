//! How often and how soon to try again.

use std::time::Duration;

use crate::Backoff;

/// How many attempts something gets in all, and the delays between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Attempts in all, the first one counted; 0 counts as 1.
    pub attempts: u32,
    /// The delays between them.
    pub backoff: Backoff,
}

impl Retry {
    /// `attempts` in all, with the default delays.
    #[must_use]
    pub fn times(attempts: u32) -> Self {
        Self { attempts, backoff: Backoff::default() }
    }

    /// One attempt only.
    #[must_use]
    pub fn never() -> Self {
        Self::times(1)
    }

    /// The same number of attempts with other delays.
    #[must_use]
    pub const fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// The delay before the next attempt when number `attempt` (from 1) has failed, or none when it was the last.
    ///
    /// `random` is from 0 to 1, see [`Backoff::delay`].
    #[must_use]
    pub fn next(&self, attempt: u32, random: f64) -> Option<Duration> {
        (attempt < self.attempts).then(|| self.backoff.delay(attempt, random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attempt_has_no_next() {
        let retry = Retry::times(3).backoff(Backoff::constant(Duration::from_secs(2)));
        let next: Vec<_> = (1..=4).map(|attempt| retry.next(attempt, 0.5)).collect();
        assert_eq!(next, [Some(Duration::from_secs(2)), Some(Duration::from_secs(2)), None, None]);
    }

    #[test]
    fn never_and_zero_mean_one_attempt() {
        assert_eq!(Retry::never().next(1, 0.0), None);
        assert_eq!(Retry::times(0).next(1, 0.0), None);
    }
}
