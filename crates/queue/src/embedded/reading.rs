//! What people and the ledger read: the journal, unfinished tasks, dead letters.

use std::sync::Arc;

use futures::{StreamExt, stream, stream::BoxStream};
use redb::{Error, ReadTransaction, ReadableTable};

use super::{
    Inner, blocking,
    claim::Hold,
    consumer,
    tables::{JOURNAL, LETTERS, TASKS},
};
use crate::{DeadLetter, Failure, JournalEntry, QueueError, Reason, Task, TaskState, message, purge::Wanted};

/// How many entries of the journal are read at once. A reader who takes its time holds up nobody in between.
const PAGE: usize = 256;

type Entry = Result<JournalEntry, QueueError>;

/// The journal as it is read page by page. It ends after an error of the file; an entry that is not one is an error
/// of its own.
pub(super) fn journal(inner: Arc<Inner>) -> BoxStream<'static, Entry> {
    let pages = stream::unfold(Some(0), move |from| {
        let inner = Arc::clone(&inner);
        async move {
            let from = from?;
            match blocking(move || inner.desk.file.read(|txn| page(txn, from))).await {
                Ok((entries, _)) if entries.is_empty() => None,
                Ok(page) => Some(page),
                Err(error) => Some((vec![Err(error)], None)),
            }
        }
    });
    pages.flat_map(stream::iter).boxed()
}

fn page(txn: &ReadTransaction, from: u64) -> Result<(Vec<Entry>, Option<u64>), Error> {
    let table = txn.open_table(JOURNAL)?;
    let (mut entries, mut next) = (Vec::new(), None);
    for row in table.range(from..)?.take(PAGE) {
        let (number, entry) = row?;
        let unreadable = |e| QueueError::Corrupt(format!("entry {} of the journal: {e}", number.value()));
        entries.push(serde_json::from_slice(entry.value()).map_err(unreadable));
        next = number.value().checked_add(1);
    }
    Ok((entries, next))
}

/// Every dead letter, oldest first.
pub(super) fn letters(txn: &ReadTransaction) -> Result<Vec<DeadLetter>, Error> {
    let mut letters = Vec::new();
    for row in txn.open_table(LETTERS)?.iter()? {
        let (_, row) = row?;
        let (_, failure, message) = row.value();
        letters.push(message::letter(message, failure_of(failure)));
    }
    Ok(letters)
}

/// The numbers of the letters that are wanted.
pub(super) fn numbers(txn: &ReadTransaction, mut wanted: Wanted) -> Result<Vec<u64>, Error> {
    let mut numbers = Vec::new();
    for row in txn.open_table(LETTERS)?.iter()? {
        let (number, row) = row?;
        let (_, failure, message) = row.value();
        if wanted.take(&message::letter(message, failure_of(failure))) {
            numbers.push(number.value());
        }
    }
    Ok(numbers)
}

/// A failure that cannot be read must not hide its letter.
fn failure_of(bytes: &[u8]) -> Failure {
    serde_json::from_slice(bytes).unwrap_or_else(|e| Failure {
        reason: Reason::Unreadable,
        message: format!("the failure of this letter cannot be read: {e}"),
        at: jiff::Timestamp::UNIX_EPOCH,
        evidence: Vec::new(),
    })
}

/// Every unfinished task and where it is. A message that is no task is put to the dead letters now, so that it is
/// accounted for though nobody has tried to take it.
pub(super) async fn pending(inner: &Arc<Inner>) -> Result<Vec<(Task, TaskState)>, QueueError> {
    let reader = Arc::clone(inner);
    let rows = blocking(move || reader.desk.file.read(messages)).await?;
    let (mut tasks, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
    {
        let shelf = inner.shelf();
        for (key, due, message) in rows {
            match message::read(&message) {
                Ok(task) => tasks.push((task, shelf.state(key, due))),
                Err(_) => unreadable.push(key),
            }
        }
    }
    for key in unreadable.into_iter().filter(|_| inner.writable) {
        let taken = inner.shelf().take_key(key);
        if let Some(taken) = taken {
            consumer::open(Hold::new(Arc::clone(inner), taken)).await?;
        }
    }
    Ok(tasks)
}

fn messages(txn: &ReadTransaction) -> Result<Vec<(u64, i64, Vec<u8>)>, Error> {
    let mut messages = Vec::new();
    for row in txn.open_table(TASKS)?.iter()? {
        let (key, row) = row?;
        let (_, due, message) = row.value();
        messages.push((key.value(), due, message.to_vec()));
    }
    Ok(messages)
}
