//! Named locks inside one process, for queues that only one process can use.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use crate::LockGuard;

/// The names that somebody holds, as long as this set of locks has not been broken.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    names: Arc<Mutex<Option<HashSet<String>>>>,
}

impl Locks {
    /// None of the names is held.
    pub(crate) fn new() -> Self {
        Self { names: Arc::new(Mutex::new(Some(HashSet::new()))) }
    }

    /// Takes `name` if nobody has it.
    pub(crate) fn take(&self, name: &str) -> Option<Held> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = names.as_mut().is_some_and(|names| names.insert(name.to_owned()));
        taken.then(|| Held { name: name.to_owned(), names: Arc::clone(&self.names) })
    }

    /// Takes every lock from its holder, for good: what was taken says so, and nothing more can be taken here.
    pub(crate) fn close(&self) {
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// One name, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    name: String,
    names: Arc<Mutex<Option<HashSet<String>>>>,
}

impl LockGuard for Held {
    fn held(&self) -> bool {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(names) = self.names.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            names.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_by_one_and_free_again_when_dropped() {
        let locks = Locks::new();
        let first = locks.take("watcher").unwrap();
        assert!(first.held());
        assert!(locks.take("watcher").is_none());
        assert!(locks.take("other").is_some());
        drop(first);
        assert!(locks.take("watcher").is_some());
    }

    #[test]
    fn closing_takes_the_lock_from_its_holder() {
        let locks = Locks::new();
        let first = locks.take("watcher").unwrap();
        locks.close();
        assert!(!first.held());
        assert!(locks.take("watcher").is_none());
    }
}
