//! The tables of the file, and what each change does to them inside one transaction.
//!
//! The tables hold only what must survive a death. Who holds a task does not: it is in memory, on the [shelf](super::shelf).

use std::collections::BTreeMap;

use redb::{Error, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use scrapefleet_api::{ItemId, LaneName};

use super::change::{Change, Done, Entry, How, Move, Row};
use crate::{Published, QueueError, message};

/// Version of the layout below.
pub(super) const FORMAT: u64 = 1;

/// `format` -> [`FORMAT`].
const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("about");
/// Number -> entry, as JSON; rows are only ever added.
pub(super) const JOURNAL: TableDefinition<u64, &[u8]> = TableDefinition::new("journal");
/// Every id in the journal.
const KNOWN: TableDefinition<&str, ()> = TableDefinition::new("known");
/// Number -> lane, the moment it is due (milliseconds since 1970, [`AT_ONCE`] when it has no delay) and message. Lower numbers go first.
pub(super) const TASKS: TableDefinition<u64, (&str, i64, &[u8])> = TableDefinition::new("tasks");
/// Number of a task -> how often it was handed out since it was last finished, for those that were at all.
const DELIVERIES: TableDefinition<u64, u32> = TableDefinition::new("deliveries");
/// Number -> lane, failure as JSON, message.
pub(super) const LETTERS: TableDefinition<u64, (&str, &[u8], &[u8])> = TableDefinition::new("dead-letters");
/// Item of a dead letter, number of the letter.
const LETTERS_BY_ITEM: TableDefinition<(&str, u64), ()> = TableDefinition::new("dead-letters-by-item");

/// The due moment of a task without a delay.
pub(super) const AT_ONCE: i64 = i64::MIN;

/// The tables, open for writing in one transaction.
pub(super) struct Tables<'t> {
    journal: Table<'t, u64, &'static [u8]>,
    known: Table<'t, &'static str, ()>,
    tasks: Table<'t, u64, (&'static str, i64, &'static [u8])>,
    deliveries: Table<'t, u64, u32>,
    letters: Table<'t, u64, (&'static str, &'static [u8], &'static [u8])>,
    letters_by_item: Table<'t, (&'static str, u64), ()>,
    /// The next free number, of journal entries, tasks and letters alike.
    next: u64,
}

impl<'t> Tables<'t> {
    /// Opens the tables; makes those that are missing.
    pub(super) fn open(txn: &'t WriteTransaction, next: u64) -> Result<Self, Error> {
        Ok(Self {
            journal: txn.open_table(JOURNAL)?,
            known: txn.open_table(KNOWN)?,
            tasks: txn.open_table(TASKS)?,
            deliveries: txn.open_table(DELIVERIES)?,
            letters: txn.open_table(LETTERS)?,
            letters_by_item: txn.open_table(LETTERS_BY_ITEM)?,
            next,
        })
    }

    /// The next free number after what was applied.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Records how often tasks were handed out.
    pub(super) fn mark(&mut self, deliveries: &[(u64, u32)]) -> Result<(), Error> {
        for (key, count) in deliveries {
            self.deliveries.insert(key, count)?;
        }
        Ok(())
    }

    /// Applies one change and says what it did.
    pub(super) fn apply(&mut self, change: &Change) -> Result<Done, Error> {
        match change {
            Change::Publish(entries) => self.publish(entries),
            Change::Put { lane, message } => Ok(Done::by([self.queue(lane.clone(), AT_ONCE, message)?])),
            Change::Finish { key, how, .. } => self.finish(*key, how),
            Change::Replay(item) => self.replay(item),
            Change::Purge(number) => self.purge(*number),
        }
    }

    fn publish(&mut self, entries: &[Entry]) -> Result<Done, Error> {
        let mut moves = Vec::with_capacity(entries.len());
        for entry in entries {
            if self.discover(&entry.item, &entry.journal)? {
                moves.push(self.queue(entry.lane.clone(), AT_ONCE, &entry.message)?);
            }
        }
        let published = Published { new: moves.len(), known: entries.len() - moves.len() };
        Ok(Done { moves, answer: Ok(published) })
    }

    /// Adds an item to the journal unless it is there.
    fn discover(&mut self, item: &ItemId, entry: &[u8]) -> Result<bool, Error> {
        if self.known.insert(item.as_str(), ())?.is_some() {
            return Ok(false);
        }
        let number = self.number();
        self.journal.insert(number, entry)?;
        Ok(true)
    }

    fn queue(&mut self, lane: LaneName, due: i64, message: &[u8]) -> Result<Move, Error> {
        let key = self.number();
        self.tasks.insert(key, (lane.as_str(), due, message))?;
        Ok(Move::Queued(Row { key, lane, due }))
    }

    /// Ends the hold on a task. A task that is not there was finished by a change whose confirmation was lost
    /// with the disk; that finish stands.
    fn finish(&mut self, key: u64, how: &How) -> Result<Done, Error> {
        self.deliveries.remove(key)?;
        if matches!(how, How::Release) {
            return Ok(Done::by([Move::Returned { key }]));
        }
        let Some(row) = self.tasks.remove(key)? else { return Ok(Done::by([Move::Gone { key }])) };
        let (lane, _, message) = row.value();
        let (lane, message) = (lane_named(lane)?, message.to_vec());
        drop(row);
        let mut done = Done::by([Move::Gone { key }]);
        match how {
            How::Ack | How::Release => {}
            How::Retry { due, message } => done.moves.push(self.queue(lane, *due, message)?),
            How::Dead { item, failure } => {
                done.moves.push(self.bury(lane, item.as_ref(), failure, &message)?);
            }
        }
        Ok(done)
    }

    fn bury(
        &mut self,
        lane: LaneName,
        item: Option<&ItemId>,
        failure: &[u8],
        message: &[u8],
    ) -> Result<Move, Error> {
        let number = self.number();
        self.letters.insert(number, (lane.as_str(), failure, message))?;
        if let Some(item) = item {
            self.letters_by_item.insert((item.as_str(), number), ())?;
        }
        Ok(Move::Buried { lane })
    }

    /// Queues the oldest dead letter of `item` again.
    fn replay(&mut self, item: &ItemId) -> Result<Done, Error> {
        let of_item = (item.as_str(), 0)..=(item.as_str(), u64::MAX);
        let oldest = self.letters_by_item.range(of_item)?.next().transpose()?;
        let Some(number) = oldest.map(|(key, _)| key.value().1) else {
            return Ok(Done::refused(message::no_letter(item)));
        };
        self.letters_by_item.remove((item.as_str(), number))?;
        let Some(row) = self.letters.remove(number)? else {
            return Err(Error::Corrupted(format!("dead letter {number} is in the index only")));
        };
        let (lane, _, message) = row.value();
        let (lane, message) = (lane_named(lane)?, message::replayed(message));
        drop(row);
        let queued = self.queue(lane.clone(), AT_ONCE, &message)?;
        Ok(Done::by([Move::Unburied { lane }, queued]))
    }

    /// Forgets a dead letter.
    fn purge(&mut self, number: u64) -> Result<Done, Error> {
        let Some(row) = self.letters.remove(number)? else {
            return Ok(Done::refused(QueueError::NotFound(format!("there is no dead letter {number}"))));
        };
        let (lane, _, message) = row.value();
        let (lane, item) = (lane_named(lane)?, message::item(message));
        drop(row);
        if let Some(item) = item {
            self.letters_by_item.remove((item.as_str(), number))?;
        }
        Ok(Done::by([Move::Unburied { lane }]))
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}

/// What the file says at one moment; all that the shelf needs to know of it.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// Every unfinished task.
    pub(super) tasks: Vec<Row>,
    /// How often tasks were handed out since they were last finished.
    pub(super) deliveries: Vec<(u64, u32)>,
    /// Dead letters by lane.
    pub(super) letters: BTreeMap<LaneName, u64>,
    /// The next free number.
    pub(super) next: u64,
}

/// Whether the file has its tables; fails when they are not of the layout this program knows.
pub(super) fn is_prepared(txn: &ReadTransaction) -> Result<bool, Error> {
    let about = match txn.open_table(ABOUT) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(false),
        about => about?,
    };
    match about.get("format")?.map(|format| format.value()) {
        None => Ok(false),
        Some(FORMAT) => Ok(true),
        Some(other) => {
            Err(Error::Corrupted(format!("it has layout {other}, and this program knows layout {FORMAT}")))
        }
    }
}

/// Makes the tables of a new file.
pub(super) fn prepare(txn: &WriteTransaction) -> Result<(), Error> {
    txn.open_table(ABOUT)?.insert("format", FORMAT)?;
    Tables::open(txn, 0).map(drop)
}

/// Reads what the shelf needs to know.
pub(super) fn take_inventory(txn: &ReadTransaction) -> Result<Inventory, Error> {
    let (journal, tasks, letters) =
        (txn.open_table(JOURNAL)?, txn.open_table(TASKS)?, txn.open_table(LETTERS)?);
    let mut inventory = Inventory::default();
    for row in tasks.iter()? {
        let (key, value) = row?;
        let (lane, due, _) = value.value();
        inventory.tasks.push(Row { key: key.value(), lane: lane_named(lane)?, due });
    }
    for row in letters.iter()? {
        *inventory.letters.entry(lane_named(row?.1.value().0)?).or_default() += 1;
    }
    for row in txn.open_table(DELIVERIES)?.iter()? {
        let (key, count) = row?;
        inventory.deliveries.push((key.value(), count.value()));
    }
    let last = [last_key(&journal)?, last_key(&tasks)?, last_key(&letters)?].into_iter().flatten().max();
    inventory.next = last.map_or(0, |last| last.saturating_add(1));
    Ok(inventory)
}

fn last_key<V: redb::Value + 'static>(table: &impl ReadableTable<u64, V>) -> Result<Option<u64>, Error> {
    Ok(table.last()?.map(|(key, _)| key.value()))
}

fn lane_named(text: &str) -> Result<LaneName, Error> {
    LaneName::new(text).map_err(|e| Error::Corrupted(e.to_string()))
}
