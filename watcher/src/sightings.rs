//! What a standby saw lately.
//!
//! The queue notices that the active watcher died only after a while, and what that watcher had not queued by then may
//! have left the list. So a standby keeps what it sees, and queues all of it when it takes over.

use std::{collections::BTreeMap, time::Duration};

use scrapefleet_api::ItemId;
use scrapefleet_browser::Item;
use scrapefleet_policy::Instant;
use scrapefleet_queue::Task;

use crate::outbox::Offered;

/// How long what left the list is kept. A queue notices a dead connection within three heartbeats of 10 s.
pub const KEPT: Duration = Duration::from_mins(1);

/// The items that were on the list within the last minute.
#[derive(Debug, Clone)]
pub struct Sightings {
    seen: BTreeMap<ItemId, Sighting>,
    /// Numbers sightings in the order of their first time.
    next: u64,
    bound: usize,
}

#[derive(Debug, Clone)]
struct Sighting {
    number: u64,
    last: Instant,
    task: Task,
}

impl Sightings {
    /// Keeps up to `bound` items; at least one.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self { seen: BTreeMap::new(), next: 0, bound: bound.max(1) }
    }

    /// Whether `item` is kept.
    #[must_use]
    pub fn knows(&self, item: &ItemId) -> bool {
        self.seen.contains_key(item)
    }

    /// Keeps what a look at `now` showed, in the order given. When another watcher is active, forgets what has not been
    /// seen for a minute: that one has queued it.
    pub fn note(
        &mut self,
        now: Instant,
        items: impl IntoIterator<Item = Item>,
        task: impl Fn(Item) -> Task,
        another_is_active: bool,
    ) -> Offered {
        let mut offered = Offered::default();
        for item in items {
            if let Some(sighting) = self.seen.get_mut(&item.id) {
                sighting.last = now;
                continue;
            }
            offered.new += 1;
            self.seen.insert(item.id.clone(), Sighting { number: self.next, last: now, task: task(item) });
            self.next += 1;
        }
        if another_is_active {
            self.seen.retain(|_, sighting| now.saturating_duration_since(sighting.last) <= KEPT);
        }
        while self.seen.len() > self.bound {
            self.forget_oldest();
            offered.no_room += 1;
        }
        offered
    }

    fn forget_oldest(&mut self) {
        let oldest = self.seen.values().min_by_key(|sighting| (sighting.last, sighting.number));
        if let Some(id) = oldest.map(|sighting| sighting.task.id.clone()) {
            self.seen.remove(&id);
        }
    }

    /// Takes everything out, first seen first.
    pub fn take(&mut self) -> Vec<Task> {
        let mut seen: Vec<_> = std::mem::take(&mut self.seen).into_values().collect();
        seen.sort_by_key(|sighting| sighting.number);
        seen.into_iter().map(|sighting| sighting.task).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{item, task};

    fn note(sightings: &mut Sightings, now: Instant, numbers: &[usize]) -> usize {
        sightings.note(now, numbers.iter().copied().map(item), |item| task(&item), true).new
    }

    fn taken(sightings: &mut Sightings) -> Vec<String> {
        sightings.take().into_iter().map(|task| task.id.to_string()).collect()
    }

    #[test]
    fn what_was_seen_within_a_minute_is_kept_in_the_order_of_its_first_time() {
        let (mut sightings, start) = (Sightings::new(10), Instant::now());
        assert_eq!(note(&mut sightings, start, &[3, 1]), 2);
        assert_eq!(note(&mut sightings, start + KEPT, &[1, 2]), 1);
        assert_eq!(note(&mut sightings, start + KEPT + Duration::from_millis(1), &[0]), 1);
        assert_eq!(taken(&mut sightings), ["i1", "i2", "i0"]);
        assert_eq!(taken(&mut sightings), Vec::<String>::new());
    }

    #[test]
    fn nothing_is_forgotten_while_nobody_is_known_to_queue_it() {
        let (mut sightings, start) = (Sightings::new(10), Instant::now());
        for (hours, number) in [(0, 1), (1, 2)] {
            let now = start + Duration::from_hours(hours);
            sightings.note(now, [item(number)], |item| task(&item), false);
        }
        assert_eq!(taken(&mut sightings), ["i1", "i2"]);
    }

    #[test]
    fn it_is_bounded_and_forgets_what_left_the_list_first() {
        let (mut sightings, start) = (Sightings::new(3), Instant::now());
        note(&mut sightings, start, &[1, 2]);
        note(&mut sightings, start + Duration::from_secs(1), &[1, 3, 4]);
        assert_eq!(taken(&mut sightings), ["i1", "i3", "i4"]);
    }
}
