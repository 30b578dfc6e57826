//! What was seen and is to be queued.

use std::collections::{HashSet, VecDeque};

use scrapefleet_api::ItemId;
use scrapefleet_browser::Item;
use scrapefleet_queue::Task;

use crate::recent::Recent;

/// The most tasks published in one call.
pub const BATCH: usize = 500;

/// Tasks on their way to the queue, and the ids of those that got there lately.
///
/// An item is remembered as queued only when the queue has confirmed it, so nothing is forgotten however often a
/// publish fails. What finds no room, after an outage long enough to fill it, is not remembered either: it
/// is offered again at every look for as long as the list shows it.
#[derive(Debug, Clone)]
pub struct Outbox {
    recent: Recent<ItemId>,
    waiting: VecDeque<Task>,
    waiting_ids: HashSet<ItemId>,
    bound: usize,
}

/// What became of the items of a look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offered {
    /// Items that were not known and wait for the queue now.
    pub new: usize,
    /// Items that were not known and found no room.
    pub no_room: usize,
}

impl Offered {
    fn count(&mut self, fits: bool) {
        if fits { self.new += 1 } else { self.no_room += 1 }
    }
}

impl Outbox {
    /// Remembers up to `bound` queued items, and lets as many wait; at least one.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        let bound = bound.max(1);
        Self { recent: Recent::new(bound), waiting: VecDeque::new(), waiting_ids: HashSet::new(), bound }
    }

    /// Whether `item` waits or was queued lately.
    #[must_use]
    pub fn knows(&self, item: &ItemId) -> bool {
        self.recent.contains(item) || self.waiting_ids.contains(item)
    }

    /// Takes the items that are not known, in the order given; `task` makes the task of one.
    pub fn offer(&mut self, items: impl IntoIterator<Item = Item>, task: impl Fn(Item) -> Task) -> Offered {
        let mut offered = Offered::default();
        for item in items {
            if !self.knows(&item.id) {
                offered.count(self.put(item.id.clone(), || task(item)));
            }
        }
        offered
    }

    /// Takes over from another watcher. What it queued last is not known here, so everything that was `seen` lately is
    /// queued, once more perhaps, which is harmless.
    pub fn take_over(&mut self, seen: Vec<Task>) -> Offered {
        self.recent.clear();
        self.resume(seen)
    }

    /// Goes on after the lead was given up: what was `seen` meanwhile is queued, another may have queued it or not. What
    /// this watcher queued itself needs no repeat.
    pub fn resume(&mut self, seen: Vec<Task>) -> Offered {
        let mut offered = Offered::default();
        for task in seen {
            if !self.knows(&task.id) {
                offered.count(self.put(task.id.clone(), || task));
            }
        }
        offered
    }

    /// Lets a task wait; says whether there was room.
    fn put(&mut self, id: ItemId, task: impl FnOnce() -> Task) -> bool {
        let fits = self.waiting.len() < self.bound;
        if fits {
            self.waiting_ids.insert(id);
            self.waiting.push_back(task());
        }
        fits
    }

    /// The tasks to queue next, the oldest first.
    #[must_use]
    pub fn batch(&self) -> Vec<Task> {
        self.waiting.iter().take(BATCH).cloned().collect()
    }

    /// The queue has confirmed the first `count` tasks of the last batch.
    pub fn confirm(&mut self, count: usize) {
        for task in self.waiting.drain(..count.min(self.waiting.len())) {
            self.waiting_ids.remove(&task.id);
            self.recent.insert(task.id);
        }
    }

    /// How many tasks wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{item, task};

    fn offer(outbox: &mut Outbox, numbers: std::ops::Range<usize>) -> Offered {
        outbox.offer(numbers.map(item), |item| task(&item))
    }

    fn ids(tasks: &[Task]) -> Vec<&str> {
        tasks.iter().map(|task| task.id.as_str()).collect()
    }

    #[test]
    fn an_item_waits_once_and_is_remembered_once_it_is_confirmed() {
        let mut outbox = Outbox::new(10);
        assert_eq!(offer(&mut outbox, 0..3), Offered { new: 3, no_room: 0 });
        assert_eq!(offer(&mut outbox, 1..4), Offered { new: 1, no_room: 0 });
        assert_eq!(ids(&outbox.batch()), ["i0", "i1", "i2", "i3"]);
        outbox.confirm(3);
        assert_eq!(ids(&outbox.batch()), ["i3"]);
        assert_eq!(offer(&mut outbox, 0..4), Offered::default());
    }

    #[test]
    fn what_finds_no_room_is_counted_and_offered_again() {
        let mut outbox = Outbox::new(2);
        assert_eq!(offer(&mut outbox, 0..5), Offered { new: 2, no_room: 3 });
        outbox.confirm(2);
        assert_eq!(offer(&mut outbox, 2..5), Offered { new: 2, no_room: 1 });
    }

    #[test]
    fn a_batch_is_bounded_and_what_came_meanwhile_is_not_confirmed_with_it() {
        let mut outbox = Outbox::new(2 * BATCH);
        offer(&mut outbox, 0..BATCH + 1);
        let batch = outbox.batch();
        assert_eq!(batch.len(), BATCH);
        offer(&mut outbox, BATCH..BATCH + 3);
        outbox.confirm(batch.len());
        assert_eq!(outbox.waiting(), 3);
        outbox.confirm(usize::MAX);
        assert_eq!(outbox.waiting(), 0);
    }

    #[test]
    fn a_take_over_queues_what_was_seen_though_it_was_queued_before() {
        let mut outbox = Outbox::new(10);
        offer(&mut outbox, 0..2);
        outbox.confirm(1);
        let seen = (0..3).map(|n| task(&item(n))).collect();
        assert_eq!(outbox.take_over(seen), Offered { new: 2, no_room: 0 });
        assert_eq!(ids(&outbox.batch()), ["i1", "i0", "i2"]);
    }

    #[test]
    fn who_goes_on_repeats_nothing_of_its_own() {
        let mut outbox = Outbox::new(10);
        offer(&mut outbox, 0..2);
        outbox.confirm(1);
        let seen = (0..3).map(|n| task(&item(n))).collect();
        assert_eq!(outbox.resume(seen), Offered { new: 1, no_room: 0 });
        assert_eq!(ids(&outbox.batch()), ["i1", "i2"]);
    }
}
