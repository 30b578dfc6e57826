//! Where every unfinished task is, and who holds it: the index in memory over the rows of the file.
//!
//! The shelf decides and the file remembers. Who holds a task need not survive a death, so taking and giving back
//! are changes of the shelf alone, at once and without a way to fail; everything else is moved here only after it is
//! on disk. The index is about 20 bytes for each unfinished task; tasks themselves stay in the file.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use scrapefleet_api::LaneName;

use super::{
    change::{Move, Row},
    tables::{AT_ONCE, Inventory},
};
use crate::{Depth, QueueError, TaskState, lanes::Picker};

/// The index, kept in step with the file.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    lanes: BTreeMap<LaneName, LaneShelf>,
    delayed: BTreeMap<(i64, u64), LaneName>,
    held: HashMap<u64, Hold>,
    /// How often tasks were handed out since they were last finished.
    deliveries: HashMap<u64, u32>,
    /// Held tasks whose count is not on disk yet.
    unmarked: BTreeSet<u64>,
    consumers: HashMap<u64, Picker>,
    last_number: u64,
}

#[derive(Debug, Default)]
struct LaneShelf {
    ready: BTreeSet<u64>,
    delayed: u64,
    held: u64,
    dead: u64,
}

#[derive(Debug)]
struct Hold {
    lane: LaneName,
    consumer: Option<u64>,
    ticket: u64,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its holder works on it.
    Working,
    /// Its end is being written.
    Finishing,
    /// The same, and its holder has gone: if it cannot be written, the task is ready again.
    Left,
    /// It turned out to have ended on disk in a write that was reported as failed.
    Ended,
}

/// A task that was just taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) key: u64,
    pub(super) ticket: u64,
    /// How often it was handed out before without being finished.
    pub(super) deliveries: u32,
}

/// Whether the end of a hold is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// Yes; [`Shelf::apply`] or [`Shelf::not_finished`] follows.
    Write,
    /// No, it is on disk already.
    Ended,
}

impl Shelf {
    /// The shelf of a file that was just opened: nothing is held.
    pub(super) fn stocked(inventory: &Inventory) -> Self {
        let mut shelf = Self::default();
        shelf.restock(inventory);
        shelf
    }

    /// Takes over what the file says after it had to be opened again; holds stay where the task is still there.
    pub(super) fn restock(&mut self, inventory: &Inventory) {
        self.lanes.clear();
        self.delayed.clear();
        for (lane, dead) in &inventory.letters {
            self.lane(lane).dead = *dead;
        }
        let mut lost = std::mem::take(&mut self.held);
        for row in &inventory.tasks {
            match lost.remove(&row.key) {
                None => self.queue(row.clone()),
                Some(hold) => {
                    self.lane(&row.lane).held += 1;
                    self.held.insert(row.key, hold);
                }
            }
        }
        for (key, hold) in lost.into_iter().filter(|(_, hold)| hold.stage != Stage::Left) {
            self.held.insert(key, Hold { stage: Stage::Ended, ..hold });
        }
        for (key, count) in &inventory.deliveries {
            self.deliveries.entry(*key).or_insert(*count);
        }
    }

    /// Makes room for a consumer and says its number.
    pub(super) fn connect(&mut self, picker: Picker) -> u64 {
        let number = self.number();
        self.consumers.insert(number, picker);
        number
    }

    /// Gives back all that a consumer holds and forgets it.
    pub(super) fn disconnect(&mut self, number: u64) {
        self.consumers.remove(&number);
        let of_it = |hold: &Hold| hold.consumer == Some(number);
        let tickets: Vec<_> =
            self.held.iter().filter(|(_, h)| of_it(h)).map(|(k, h)| (*k, h.ticket)).collect();
        for (key, ticket) in tickets {
            self.leave(key, ticket);
        }
    }

    /// Voids every consumer and every hold, for the end of the queue.
    pub(super) fn close(&mut self) {
        self.consumers.clear();
        self.held.clear();
    }

    /// Makes tasks ready whose delay has passed by `now` (milliseconds since 1970); says whether there were any.
    pub(super) fn promote(&mut self, now: i64) -> bool {
        let mut any = false;
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, key), lane) = entry.remove_entry();
            let lane = self.lane(&lane);
            lane.delayed -= 1;
            lane.ready.insert(key);
            any = true;
        }
        any
    }

    /// When the next delay is over, in milliseconds since 1970.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes the next task for a consumer; none when there is none for it now.
    pub(super) fn take(&mut self, consumer: u64) -> Result<Option<Taken>, QueueError> {
        let picker = self.consumers.get_mut(&consumer).ok_or(QueueError::Closed)?;
        let lanes = &self.lanes;
        let ready = |lane: &LaneName| lanes.get(lane).is_some_and(|shelf| !shelf.ready.is_empty());
        let Some(lane) = picker.take(ready).cloned() else { return Ok(None) };
        let key = self.lanes.get(&lane).and_then(|shelf| shelf.ready.first().copied());
        Ok(key.map(|key| self.hold(key, lane, Some(consumer))))
    }

    /// Takes one task, if it is ready, for the queue itself.
    pub(super) fn take_key(&mut self, key: u64) -> Option<Taken> {
        let lane =
            self.lanes.iter().find(|(_, shelf)| shelf.ready.contains(&key)).map(|(lane, _)| lane.clone())?;
        Some(self.hold(key, lane, None))
    }

    fn hold(&mut self, key: u64, lane: LaneName, consumer: Option<u64>) -> Taken {
        let ticket = self.number();
        let place = self.lane(&lane);
        place.ready.remove(&key);
        place.held += 1;
        self.held.insert(key, Hold { lane, consumer, ticket, stage: Stage::Working });
        Taken { key, ticket, deliveries: self.deliveries.get(&key).copied().unwrap_or_default() }
    }

    /// Counts that a task which was taken is now with its holder.
    pub(super) fn delivered(&mut self, key: u64) {
        *self.deliveries.entry(key).or_default() += 1;
        self.unmarked.insert(key);
    }

    /// The counts to be written.
    pub(super) fn take_marks(&mut self) -> Vec<(u64, u32)> {
        let count = |key| (key, self.deliveries.get(&key).copied().unwrap_or_default());
        std::mem::take(&mut self.unmarked).into_iter().map(count).collect()
    }

    /// Whether there are counts that are not on disk yet.
    #[cfg(test)]
    pub(super) fn has_marks(&self) -> bool {
        !self.unmarked.is_empty()
    }

    /// The counts could not be written and are to be tried again.
    pub(super) fn not_marked(&mut self, marks: &[(u64, u32)]) {
        let still = marks.iter().map(|(key, _)| *key).filter(|key| self.deliveries.contains_key(key));
        self.unmarked.extend(still);
    }

    /// Begins the end of a hold. Fails when the holder has lost the task.
    pub(super) fn begin_finish(&mut self, key: u64, ticket: u64) -> Result<Begin, QueueError> {
        let hold = self.held.get_mut(&key).filter(|hold| hold.ticket == ticket).ok_or(QueueError::Closed)?;
        if hold.stage == Stage::Ended {
            self.remove_hold(key);
            return Ok(Begin::Ended);
        }
        hold.stage = Stage::Finishing;
        Ok(Begin::Write)
    }

    /// The end of a hold could not be written: the task is still held, or ready again if its holder has gone.
    pub(super) fn not_finished(&mut self, key: u64, ticket: u64) {
        match self.held.get_mut(&key).filter(|hold| hold.ticket == ticket) {
            Some(hold) if hold.stage == Stage::Finishing => hold.stage = Stage::Working,
            Some(hold) if hold.stage == Stage::Left => self.give_back(key),
            _ => {}
        }
    }

    /// A holder goes without finishing.
    pub(super) fn leave(&mut self, key: u64, ticket: u64) {
        match self.held.get_mut(&key).filter(|hold| hold.ticket == ticket) {
            Some(hold) if hold.stage == Stage::Finishing => hold.stage = Stage::Left,
            Some(hold) if hold.stage == Stage::Working => self.give_back(key),
            Some(hold) if hold.stage == Stage::Ended => drop(self.remove_hold(key)),
            _ => {}
        }
    }

    /// Follows a change that is on disk now.
    pub(super) fn apply(&mut self, moved: Move) {
        match moved {
            Move::Queued(row) => self.queue(row),
            Move::Buried { lane } => self.lane(&lane).dead += 1,
            Move::Unburied { lane } => self.lane(&lane).dead -= 1,
            Move::Returned { key } => {
                self.forget_deliveries(key);
                self.give_back(key);
            }
            Move::Gone { key } => {
                self.forget_deliveries(key);
                if let Some(hold) = self.remove_hold(key).filter(|hold| hold.stage != Stage::Ended) {
                    self.lane(&hold.lane).held -= 1;
                }
            }
        }
    }

    /// How many tasks are where, by lane.
    pub(super) fn depths(&self) -> BTreeMap<LaneName, Depth> {
        let depth = |shelf: &LaneShelf| Depth {
            ready: shelf.ready.len() as u64,
            held: shelf.held,
            delayed: shelf.delayed,
            dead: shelf.dead,
        };
        self.lanes.iter().map(|(name, shelf)| (name.clone(), depth(shelf))).collect()
    }

    /// Where a task is that the file says is due at `due`.
    pub(super) fn state(&self, key: u64, due: i64) -> TaskState {
        if self.held.contains_key(&key) {
            TaskState::Held
        } else if self.delayed.contains_key(&(due, key)) {
            TaskState::Delayed
        } else {
            TaskState::Ready
        }
    }

    fn queue(&mut self, Row { key, lane, due }: Row) {
        if due == AT_ONCE {
            self.lane(&lane).ready.insert(key);
        } else {
            self.lane(&lane).delayed += 1;
            self.delayed.insert((due, key), lane);
        }
    }

    fn give_back(&mut self, key: u64) {
        if let Some(hold) = self.remove_hold(key) {
            let lane = self.lane(&hold.lane);
            lane.held -= 1;
            lane.ready.insert(key);
        }
    }

    fn remove_hold(&mut self, key: u64) -> Option<Hold> {
        let hold = self.held.remove(&key)?;
        if let Some(picker) = hold.consumer.and_then(|number| self.consumers.get_mut(&number)) {
            picker.give_back(&hold.lane);
        }
        Some(hold)
    }

    fn forget_deliveries(&mut self, key: u64) {
        self.deliveries.remove(&key);
        self.unmarked.remove(&key);
    }

    fn lane(&mut self, name: &LaneName) -> &mut LaneShelf {
        if !self.lanes.contains_key(name) {
            self.lanes.insert(name.clone(), LaneShelf::default());
        }
        #[expect(clippy::expect_used)] // cannot fail: inserted above
        self.lanes.get_mut(name).expect("the lane is there")
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

#[cfg(test)]
mod tests;
