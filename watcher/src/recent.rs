//! What was queued lately.

use std::collections::{HashSet, VecDeque};

use scrapefleet_api::ItemId;

/// The ids of the items queued last: as many as its bound, the oldest forgotten first.
///
/// Forgetting is harmless: an item that is queued again is stored once all the same. The bound only has to be well
/// above the list's window, so that this is rare.
#[derive(Debug, Clone)]
pub struct Recent {
    known: HashSet<ItemId>,
    order: VecDeque<ItemId>,
    bound: usize,
}

impl Recent {
    /// Remembers up to `bound` items; at least one.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self { known: HashSet::new(), order: VecDeque::new(), bound: bound.max(1) }
    }

    /// Whether `item` is remembered.
    #[must_use]
    pub fn contains(&self, item: &ItemId) -> bool {
        self.known.contains(item)
    }

    /// Remembers `item`.
    pub fn insert(&mut self, item: ItemId) {
        if !self.known.insert(item.clone()) {
            return;
        }
        self.order.push_back(item);
        if self.order.len() > self.bound
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// How many items are remembered.
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

    fn id(n: usize) -> ItemId {
        ItemId::new(format!("i{n}")).unwrap()
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut recent = Recent::new(3);
        for n in 0..5 {
            recent.insert(id(n));
        }
        assert_eq!((0..5).map(|n| recent.contains(&id(n))).collect::<Vec<_>>(), [false, false, true, true, true]);
        assert_eq!(recent.len(), 3);
    }

    #[test]
    fn an_item_seen_again_takes_no_second_place() {
        let mut recent = Recent::new(2);
        for n in [1, 1, 2] {
            recent.insert(id(n));
        }
        assert!(recent.contains(&id(1)) && recent.contains(&id(2)));
        assert_eq!(recent.len(), 2);
    }
}
