//! How fast a site may be asked.

use std::time::Duration;

use tokio::time::Instant;

/// The slowest pace: once a day.
const SLOWEST_PER_SECOND: f64 = 1.0 / 86_400.0;

/// A token bucket that hands out slots in time: so many a second or a minute, a few at once.
///
/// ```
/// # use scrapefleet_policy::Pacer;
/// # async fn example() {
/// let mut pacer = Pacer::per_second(1.5).burst(2);
/// pacer.acquire().await;
/// // enter a room
/// # }
/// ```
///
/// Between tasks it is shared behind a `tokio::sync::Mutex`, whose queue is fair.
#[derive(Debug, Clone)]
pub struct Pacer {
    interval: Duration,
    burst: u32,
    /// When the bucket is full again; none = it is full. (The "theoretical arrival time" of the GCRA.)
    full_at: Option<Instant>,
}

impl Pacer {
    /// `rate` slots a second. A rate below one a day, or not a finite number, counts as one a day: a wrong number
    /// never makes the fleet impolite.
    #[must_use]
    pub fn per_second(rate: f64) -> Self {
        let rate = if rate.is_finite() { rate.max(SLOWEST_PER_SECOND) } else { SLOWEST_PER_SECOND };
        Self { interval: Duration::from_secs_f64(rate.recip()), burst: 1, full_at: None }
    }

    /// `rate` slots a minute, evenly spread.
    #[must_use]
    pub fn per_minute(rate: f64) -> Self {
        Self::per_second(rate / 60.0)
    }

    /// Lets this many slots that were not used be used at once; 0 counts as 1.
    #[must_use]
    pub fn burst(self, burst: u32) -> Self {
        Self { burst: burst.max(1), ..self }
    }

    /// Changes the pace, keeping what is already handed out.
    pub fn set_per_second(&mut self, rate: f64) {
        self.interval = Self::per_second(rate).interval;
    }

    /// How long until there is a slot; zero when there is one now. Takes nothing.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Duration {
        let unused = self.interval.saturating_mul(self.burst - 1);
        self.backlog(now).saturating_sub(unused)
    }

    /// Takes the next slot and answers how long to wait for it; zero = now.
    #[must_use = "the slot is taken; it begins after this wait"]
    pub fn next_slot(&mut self, now: Instant) -> Duration {
        let wait = self.wait(now);
        self.take(now);
        wait
    }

    /// Waits for the next slot and takes it. Dropped while it waits, it takes nothing.
    pub async fn acquire(&mut self) {
        loop {
            let now = Instant::now();
            let wait = self.wait(now);
            if wait.is_zero() {
                self.take(now);
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn take(&mut self, now: Instant) {
        self.full_at = now.checked_add(self.backlog(now).saturating_add(self.interval));
    }

    /// What has been handed out and not yet been made up for by the passing of time.
    fn backlog(&self, now: Instant) -> Duration {
        self.full_at.map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests;
