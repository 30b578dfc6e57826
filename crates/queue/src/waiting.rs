//! Waiting for a task: until the queue changes or a delayed task falls due, whichever is first.

use std::time::Duration;

use jiff::Timestamp;

/// The longest a consumer trusts its timer before it looks at the clock again: delays are in wall-clock time, which
/// can be set forward while the timer runs.
const LONGEST_NAP: Duration = Duration::from_secs(30);

/// Waits for `changed`, or for `due` where there is such a moment. Cancel safe; may return early.
pub(crate) async fn changed_or_due(
    changed: impl Future<Output = ()>,
    due: Option<Timestamp>,
    now: Timestamp,
) {
    match due {
        None => changed.await,
        Some(due) => {
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(nap(due, now)) => {}
            }
        }
    }
}

fn nap(due: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(now)).unwrap_or_default().min(LONGEST_NAP)
}

/// The moment `delay` after `now`, in whole milliseconds and never early; the end of time when there is no such moment.
pub(crate) fn after(now: Timestamp, delay: Duration) -> Timestamp {
    let exact = now.checked_add(delay).unwrap_or(Timestamp::MAX);
    let up = Duration::from_nanos(999_999);
    let millis = exact.checked_add(up).unwrap_or(Timestamp::MAX).as_millisecond();
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_never_cut_short_and_never_overflows() {
        let now: Timestamp = "2026-01-01T00:00:00.0004Z".parse().unwrap();
        let due: Timestamp = "2026-01-01T00:00:02.001Z".parse().unwrap();
        assert_eq!(after(now, Duration::from_secs(2)), due);
        assert!(after(now, Duration::MAX) > due);
        assert!(after(Timestamp::MAX, Duration::from_secs(1)) > due);
    }

    #[test]
    fn a_nap_ends_at_the_due_moment_or_earlier_but_never_before_now() {
        let now = Timestamp::UNIX_EPOCH;
        let nap_of = |seconds| nap(Timestamp::from_second(seconds).unwrap(), now);
        assert_eq!(nap_of(-5), Duration::ZERO);
        assert_eq!(nap_of(5), Duration::from_secs(5));
        assert_eq!(nap_of(5_000), LONGEST_NAP);
    }
}
