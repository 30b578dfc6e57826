//! What callers ask of the writer, and what it answers: plain values, so that asking, writing and keeping the shelf
//! in step are apart from each other.

use scrapefleet_api::{ItemId, LaneName};
use tokio::sync::oneshot;

use crate::{JournalEntry, Published, QueueError, Task, message};

/// What a change answers. Only a publish has anything to count.
pub(super) type Answer = Result<Published, QueueError>;

/// Something to be written.
#[derive(Debug)]
pub(super) enum Change {
    /// Put items into the journal and the queue.
    Publish(Vec<Entry>),
    /// Put a message into a lane as it is.
    Put { lane: LaneName, message: Vec<u8> },
    /// End the hold `ticket` on a task.
    Finish { key: u64, ticket: u64, how: How },
    /// Make the dead letter of an item a task again.
    Replay(ItemId),
    /// Forget the dead letter of this number.
    Purge(u64),
}

/// One item of a publish, written out.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) item: ItemId,
    pub(super) lane: LaneName,
    pub(super) journal: Vec<u8>,
    pub(super) message: Vec<u8>,
}

impl Entry {
    /// Writes a task out; refused when it is too large.
    pub(super) fn of(task: Task) -> Result<Self, QueueError> {
        let message = message::write(&task)?;
        let journal = serde_json::to_vec(&JournalEntry::of(&task))
            .map_err(|e| QueueError::Refused(format!("item `{}` cannot be written as JSON: {e}", task.id)))?;
        Ok(Self { item: task.id, lane: task.lane, journal, message })
    }

    /// Bytes that the entry takes while it waits to be written.
    pub(super) fn bytes(&self) -> usize {
        self.journal.len() + self.message.len()
    }
}

/// How a hold ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Done; the task is gone.
    Ack,
    /// Ready again as it was.
    Release,
    /// A new message that is ready at `due`, in milliseconds since 1970.
    Retry { due: i64, message: Vec<u8> },
    /// A dead letter.
    Dead { item: Option<ItemId>, failure: Vec<u8> },
}

impl How {
    /// Bytes that this takes while it waits to be written.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Ack | Self::Release => 0,
            Self::Retry { message, .. } => message.len(),
            Self::Dead { failure, .. } => failure.len(),
        }
    }
}

/// An unfinished task as the shelf knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: u64,
    pub(super) lane: LaneName,
    /// Milliseconds since 1970; [`AT_ONCE`](super::tables::AT_ONCE) without a delay.
    pub(super) due: i64,
}

/// What the shelf must do once a change is on disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// A task was added.
    Queued(Row),
    /// A held task is ready again.
    Returned { key: u64 },
    /// A held task is no more.
    Gone { key: u64 },
    /// There is one dead letter more.
    Buried { lane: LaneName },
    /// There is one dead letter less.
    Unburied { lane: LaneName },
}

/// What a change did.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) moves: Vec<Move>,
    pub(super) answer: Answer,
}

impl Done {
    /// A change that made these moves.
    pub(super) fn by<const N: usize>(moves: [Move; N]) -> Self {
        Self { moves: moves.into(), answer: Ok(Published::default()) }
    }

    /// A change that was not possible and moved nothing.
    pub(super) fn refused(error: QueueError) -> Self {
        Self { moves: Vec::new(), answer: Err(error) }
    }
}

/// A change on its way to the writer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) change: Change,
    pub(super) reply: oneshot::Sender<Answer>,
}
