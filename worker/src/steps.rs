//! Counting steps, so that whoever watches a bot sees whether it gets anywhere.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// How many steps a bot has finished. Clones share the count.
///
/// A bot that is idle, full, draining, or waits for the queue, the store or the site takes a turn every few seconds all the
/// same, and each counts: only one whose step never comes to an end stands still.
#[derive(Debug, Clone, Default)]
pub struct Steps(Arc<AtomicU64>);

impl Steps {
    /// One more is finished.
    pub(crate) fn finish(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// How many are finished.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
