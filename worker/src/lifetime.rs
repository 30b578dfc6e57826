//! When a bot is old enough to make room for a new one.

use tokio::time::{Duration, Instant};

/// The most of its lifetime that chance takes from a bot, so that pods of one age do not all go at once.
const JITTER: f64 = 0.1;

/// When a bot is to go, and by when it has gone.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime {
    ends: Instant,
    gone_by: Option<Instant>,
}

impl Lifetime {
    /// Begins now and lasts for `longest`, less up to a tenth of it: `chance` is from 0 to 1.
    #[must_use]
    pub fn begin(longest: Duration, chance: f64, now: Instant) -> Self {
        let lasts = longest.mul_f64(1.0 - JITTER * chance.clamp(0.0, 1.0));
        Self { ends: now + lasts, gone_by: None }
    }

    /// Whether it is over: nothing more is taken.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.gone_by.is_some()
    }

    /// Looks at the clock; the moment at which what is still held is given up, once the lifetime is over. `finish` is how
    /// long what is held may take to end from then on.
    pub fn look(&mut self, finish: Duration, now: Instant) -> Option<Instant> {
        if now >= self.ends {
            self.gone_by.get_or_insert(now + finish);
        }
        self.gone_by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[tokio::test(start_paused = true)]
    async fn chance_takes_a_tenth_at_most() {
        let now = Instant::now();
        for (chance, minutes) in [(0.0, 60), (0.5, 57), (1.0, 54), (7.0, 54)] {
            let lifetime = Lifetime::begin(HOUR, chance, now);
            assert_eq!((lifetime.ends - now).as_secs() / 60, minutes, "{chance}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_has_its_time_from_the_end_on() {
        let now = Instant::now();
        let mut lifetime = Lifetime::begin(HOUR, 0.0, now);
        assert_eq!(lifetime.look(HOUR, now + HOUR / 2), None);
        assert!(!lifetime.is_over());
        assert_eq!(lifetime.look(HOUR, now + HOUR), Some(now + HOUR * 2));
        assert_eq!(lifetime.look(HOUR, now + HOUR * 3), Some(now + HOUR * 2));
        assert!(lifetime.is_over());
    }
}
