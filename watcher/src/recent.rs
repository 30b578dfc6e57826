//! What was seen lately.

use std::{
    collections::{HashSet, VecDeque},
    hash::Hash,
};

/// The things inserted last: as many as its bound, the oldest forgotten first.
///
/// For ids of queued items forgetting is harmless: an item that is queued again is stored once all the same. The
/// bound only has to be well above the list's window, so that this is rare.
#[derive(Debug, Clone)]
pub struct Recent<T> {
    known: HashSet<T>,
    order: VecDeque<T>,
    bound: usize,
}

impl<T: Eq + Hash + Clone> Recent<T> {
    /// Remembers up to `bound` things; at least one.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self { known: HashSet::new(), order: VecDeque::new(), bound: bound.max(1) }
    }

    /// Whether `thing` is remembered.
    #[must_use]
    pub fn contains(&self, thing: &T) -> bool {
        self.known.contains(thing)
    }

    /// Remembers `thing`; says whether it was not remembered before.
    pub fn insert(&mut self, thing: T) -> bool {
        if !self.known.insert(thing.clone()) {
            return false;
        }
        self.order.push_back(thing);
        if self.order.len() > self.bound
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// How many things are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.known.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut recent = Recent::new(3);
        for n in 0..5 {
            assert!(recent.insert(n));
        }
        assert_eq!([0, 1, 2, 3, 4].map(|n| recent.contains(&n)), [false, false, true, true, true]);
        assert_eq!(recent.len(), 3);
        recent.clear();
        assert!(recent.is_empty() && !recent.contains(&4));
    }

    #[test]
    fn a_thing_seen_again_takes_no_second_place() {
        let mut recent = Recent::new(2);
        assert_eq!([1, 1, 2].map(|n| recent.insert(n)), [true, false, true]);
        assert!(recent.contains(&1) && recent.contains(&2));
        assert_eq!(recent.len(), 2);
    }

    #[test]
    fn a_bound_of_nothing_still_remembers_the_last() {
        let mut recent = Recent::new(0);
        recent.insert(1);
        recent.insert(2);
        assert!(recent.contains(&2) && !recent.contains(&1));
    }
}
