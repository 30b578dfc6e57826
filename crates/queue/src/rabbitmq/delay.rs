//! Delays inside the broker.
//!
//! A queue whose messages have lifetimes of their own lets none out before the one at its head. So there is one queue per
//! power of two seconds, in which every message lives equally long, and a delay is spent in the queues of its binary
//! digits, the largest first. The digits are in the routing key, and each level's exchange looks at its own digit.

use std::time::Duration;

use scrapefleet_api::LaneName;

use super::names::Kind;
use crate::QueueError;

/// How many levels there are: 1 s to 65,536 s.
pub(super) const LEVELS: u32 = 17;

/// The longest delay: 36 hours.
pub const LONGEST_DELAY: Duration = Duration::from_secs((1 << LEVELS) - 1);

/// How long a message stays in the queue of a level, in milliseconds.
pub(super) fn lifetime(level: u32) -> i64 {
    1000 << level
}

/// The routing key that keeps a task for at least `delay`, in whole seconds, before it goes to `lane`.
pub(super) fn key(delay: Duration, lane: &LaneName) -> Result<String, QueueError> {
    if delay > LONGEST_DELAY {
        return Err(QueueError::Refused(format!(
            "a delay of {delay:?}; at most {LONGEST_DELAY:?} are allowed"
        )));
    }
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    let digits = (0..LEVELS).rev().map(|level| if seconds >> level & 1 == 1 { ".1" } else { ".0" });
    Ok(format!("{}{}.{lane}", Kind::Retry.word(), digits.collect::<String>()))
}

/// The binding pattern of keys with this digit at `level`.
pub(super) fn pattern(level: u32, digit: bool) -> String {
    let above = "*.".repeat((LEVELS - 1 - level) as usize);
    format!("{}.{above}{}.#", Kind::Retry.word(), u8::from(digit))
}

/// The binding pattern of every key that leads to `lane`.
pub(super) fn any(lane: &LaneName) -> String {
    format!("{}.#.{lane}", Kind::Retry.word())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether a topic exchange would take `key` by `pattern`; `#` only at the end.
    fn takes(pattern: &str, key: &str) -> bool {
        let mut words = key.split('.');
        for expected in pattern.split('.') {
            match (expected, words.next()) {
                ("#", _) => return true,
                ("*", Some(_)) => {}
                (expected, Some(word)) if word == expected => {}
                _ => return false,
            }
        }
        words.next().is_none()
    }

    /// The time a message with `key` spends in all queues together, as the exchanges would route it.
    fn spent(key: &str) -> Duration {
        let mut millis = 0;
        for level in (0..LEVELS).rev() {
            let (stays, passes) = (takes(&pattern(level, true), key), takes(&pattern(level, false), key));
            assert!(stays != passes, "at each level there is one way: {key}");
            if stays {
                millis += lifetime(level);
            }
        }
        Duration::from_millis(u64::try_from(millis).unwrap())
    }

    proptest! {
        #[test]
        fn a_delay_is_never_cut_short_and_at_most_a_second_longer(millis in 0..=131_071_000_u64) {
            let delay = Duration::from_millis(millis);
            let spent = spent(&key(delay, &LaneName::default()).unwrap());
            prop_assert!(spent >= delay && spent < delay + Duration::from_secs(1), "{delay:?} {spent:?}");
        }
    }

    #[test]
    fn a_delay_that_cannot_be_kept_is_refused() {
        assert!(key(LONGEST_DELAY, &LaneName::default()).is_ok());
        assert!(key(LONGEST_DELAY + Duration::from_nanos(1), &LaneName::default()).is_err());
        assert!(key(Duration::MAX, &LaneName::default()).is_err());
    }

    #[test]
    fn the_longest_key_fits() {
        let lane = LaneName::new("x".repeat(63)).unwrap();
        assert!(key(LONGEST_DELAY, &lane).unwrap().len() < 255);
    }
}
