//! Waiting for a broker that takes nothing for a while.
//!
//! A broker that is short of memory or disk reads nothing more from who publishes, until its alarm is over. The connection
//! lives on, and with it everything that is held. So the time of a call does not count meanwhile, and only those who
//! asked hear after a while that it cannot be done now.

use std::time::Duration;

use scrapefleet_policy::Instant;

/// How often is looked whether the broker takes something.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Returns once `limit` has passed in a row without excuse.
pub(super) async fn unexcused(limit: Duration, excused: impl Fn() -> bool) {
    let mut by = Instant::now() + limit;
    while Instant::now() < by {
        tokio::time::sleep_until(by.min(Instant::now() + LOOK_EVERY)).await;
        if excused() {
            by = Instant::now() + limit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(15);

    /// How many seconds it takes where there is an excuse between these two.
    async fn takes(from: u64, to: u64) -> u64 {
        let began = Instant::now();
        let seconds = move || began.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
        unexcused(LIMIT, || (from as f64..=to as f64).contains(&seconds())).await;
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn time_with_an_excuse_does_not_count() {
        assert_eq!(takes(100, 100).await, 15);
        assert_eq!(takes(10, 3600).await, 3615);
        assert_eq!(takes(0, 1).await, 16);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_shorter_than_a_look_is_kept() {
        let began = Instant::now();
        unexcused(Duration::from_millis(20), || false).await;
        assert_eq!(began.elapsed().as_millis(), 20);
    }
}
