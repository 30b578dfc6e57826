//! Waiting for a condition under a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(50);

/// Looks at a condition until it holds or the time is up; tells whether it held.
pub(crate) fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        thread::sleep(PACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_looked_at_once_even_without_time_and_ends_the_wait() {
        let mut looks = 0;
        assert!(until(Duration::ZERO, || {
            looks += 1;
            true
        }));
        assert_eq!(looks, 1);
        assert!(!until(Duration::ZERO, || false));
    }
}
