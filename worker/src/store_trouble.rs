//! Whether the store takes what is put: told when no put succeeds for a while.

use std::{
    fmt::Display,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokio::time::{Duration, Instant};

/// A store that has taken nothing for longer than this while something was put is told of: shorter troubles are retried
/// before anyone could do anything about them.
const TOLD_AFTER: Duration = Duration::from_secs(5);

/// The store as the puts of one bot find it. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoreTrouble(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// Puts that have failed and are tried again.
    failing: usize,
    /// When one failed for the first time since one succeeded.
    since: Option<Instant>,
    /// What the store said last.
    why: String,
}

/// One put, from its first attempt to its last.
#[derive(Debug)]
pub(crate) struct Putting {
    trouble: StoreTrouble,
    failing: AtomicBool,
}

impl StoreTrouble {
    /// A put begins.
    pub(crate) fn putting(&self) -> Arc<Putting> {
        Arc::new(Putting { trouble: self.clone(), failing: AtomicBool::new(false) })
    }

    /// What the store said last, when it has taken nothing for a while and something waits for it.
    pub(crate) fn told(&self, now: Instant) -> Option<String> {
        let inner = self.lock();
        inner.since.filter(|since| now - *since > TOLD_AFTER).map(|_| inner.why.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What is kept is whole after each statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Putting {
    /// An attempt has failed, and there will be another.
    pub(crate) fn failed(&self, why: &dyn Display, now: Instant) {
        let mut inner = self.trouble.lock();
        if !self.failing.swap(true, Relaxed) {
            inner.failing += 1;
        }
        inner.since.get_or_insert(now);
        inner.why = why.to_string();
    }

    /// The store took it: whatever else fails begins its time anew.
    pub(crate) fn succeeded(&self) {
        self.trouble.lock().since = None;
    }
}

impl Drop for Putting {
    fn drop(&mut self) {
        if self.failing.load(Relaxed) {
            let mut inner = self.trouble.lock();
            inner.failing -= 1;
            // Nothing is put any more: nobody knows how the store is.
            if inner.failing == 0 {
                inner.since = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trouble_is_told_while_puts_fail_and_none_succeeds() {
        let begun = Instant::now();
        let at = |secs| begun + Duration::from_secs(secs);
        let trouble = StoreTrouble::default();
        let (one, two) = (trouble.putting(), trouble.putting());
        one.failed(&"away", at(0));
        one.failed(&"full", at(4));
        assert_eq!(trouble.told(at(5)), None);
        assert_eq!(trouble.told(at(6)).as_deref(), Some("full"));
        two.succeeded();
        assert_eq!(trouble.told(at(6)), None);
        one.failed(&"full", at(8));
        assert_eq!((trouble.told(at(13)), trouble.told(at(14))), (None, Some("full".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_put_that_waits_nobody_knows() {
        let begun = Instant::now();
        let later = begun + TOLD_AFTER * 2;
        let trouble = StoreTrouble::default();
        let (one, two) = (trouble.putting(), trouble.putting());
        one.failed(&"away", begun);
        two.failed(&"away", begun);
        drop(one);
        assert!(trouble.told(later).is_some(), "the other still waits");
        drop(two);
        assert_eq!(trouble.told(later), None);
    }
}
