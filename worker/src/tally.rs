//! What all bots of a run have done so far.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;

/// How many hold times are remembered for the median.
const HOLD_TIMES: usize = 10_000;

/// What all bots of a run have done so far; shared between them, so that it outlives each.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    totals: Totals,
    hold_times: VecDeque<Duration>,
}

/// The counts of a tally.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Artifacts that this run stored.
    pub stored: u64,
    /// Of those, stored as partial.
    pub partial: u64,
    /// Items whose artifact was there already.
    pub already_stored: u64,
    /// Items recorded as gone.
    pub gone: u64,
    /// Items that became dead letters.
    pub dead: u64,
    /// Attempts that failed and are tried again.
    pub retried: u64,
    /// Held items given back without a failed attempt.
    pub released: u64,
    /// Browsers thrown away.
    pub browsers_abandoned: u64,
    /// Bytes of stored artifacts, as stored.
    pub bytes: u64,
    /// Median time from claim to stored, in seconds, over the last 10,000; none before the first.
    pub hold_seconds_median: Option<f64>,
}

impl Tally {
    /// Counts with `count`.
    pub fn add(&self, count: impl FnOnce(&mut Totals)) {
        count(&mut self.lock().totals);
    }

    /// Remembers how long a stored item was held.
    pub fn held_for(&self, time: Duration) {
        let mut inner = self.lock();
        if inner.hold_times.len() == HOLD_TIMES {
            inner.hold_times.pop_front();
        }
        inner.hold_times.push_back(time);
    }

    /// The counts now.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let inner = self.lock();
        Totals { hold_seconds_median: median(&inner.hold_times), ..inner.totals.clone() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // A panic while counting leaves counts that are still counts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn median(times: &VecDeque<Duration>) -> Option<f64> {
    let mut sorted: Vec<_> = times.iter().collect();
    sorted.sort();
    sorted.get(sorted.len() / 2).map(|time| time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_what_was_held() {
        let tally = Tally::default();
        assert_eq!(tally.totals().hold_seconds_median, None);
        for secs in [9, 1, 5] {
            tally.held_for(Duration::from_secs(secs));
        }
        assert_eq!(tally.totals().hold_seconds_median, Some(5.0));
    }

    #[test]
    fn clones_count_together() {
        let tally = Tally::default();
        tally.clone().add(|t| t.stored += 1);
        tally.add(|t| t.stored += 1);
        assert_eq!(tally.totals().stored, 2);
    }

    #[test]
    fn old_hold_times_make_room() {
        let tally = Tally::default();
        for _ in 0..HOLD_TIMES {
            tally.held_for(Duration::from_secs(100));
        }
        for _ in 0..HOLD_TIMES {
            tally.held_for(Duration::from_secs(1));
        }
        assert_eq!(tally.totals().hold_seconds_median, Some(1.0));
    }
}
