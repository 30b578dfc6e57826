//! The durable task queue: its contract and its implementations.
//!
//! What [`TaskQueue`] promises is written on its methods and proven by the contract suite, which runs against
//! every implementation.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use scrapefleet_api::{ItemId, LaneName};

#[cfg(feature = "contract")]
pub mod contract;
pub mod embedded;
mod lanes;
mod locks;
pub mod memory;
pub mod message;
mod purge;
pub mod rabbitmq;
pub mod task;
mod waiting;

pub use task::{DeadLetter, Failure, JournalEntry, Reason, Task};

/// Why the queue could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The queue cannot be reached or opened now; the same call may succeed later.
    #[error("the queue cannot be reached: {0}")]
    Unreachable(String),
    /// What the queue holds cannot be read.
    #[error("the queue is damaged: {0}")]
    Corrupt(String),
    /// The disk is full or not writable; nothing that was confirmed is lost.
    #[error("the queue cannot be written: {0}")]
    Unwritable(String),
    /// Another process uses it.
    #[error("the queue is in use: {0}")]
    InUse(String),
    /// The queue, or the consumer the claim came from, was closed.
    #[error("the queue is closed")]
    Closed,
    /// What was asked for is not there.
    #[error("not found: {0}")]
    NotFound(String),
    /// What was asked for is not allowed, now or ever: a message that is too large, a claim that was finished already.
    #[error("refused: {0}")]
    Refused(String),
    /// What is there under the queue's names was made otherwise than it is wanted, until somebody changes the one or the other.
    #[error("the queue was made otherwise: {0}")]
    Mismatch(String),
}

impl QueueError {
    /// Whether waiting does not help: what refuses is there, and somebody has to change something.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Mismatch(_))
    }
}

/// What a publish did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Published {
    /// Items that entered the journal and the queue.
    pub new: usize,
    /// Items that were in the journal already and were left alone. A queue that cannot know counts them as new.
    pub known: usize,
}

/// How many tasks are where; exact when the queue is quiet.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Depth {
    /// Waiting to be taken.
    pub ready: u64,
    /// Taken and not yet finished.
    pub held: u64,
    /// Waiting for their delay to pass.
    pub delayed: u64,
    /// Dead letters.
    pub dead: u64,
}

/// One lane as a consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The lane's name.
    pub name: LaneName,
    /// Its share, relative to the other lanes.
    pub weight: u32,
}

/// Who consumes, how much at once, and from which lanes.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// Name of the consumer, for people who look at the queue.
    pub name: String,
    /// The most tasks held at once.
    pub holds: usize,
    /// Lanes to take from. Each keeps at least one of the holds free of the others, when `holds` allows.
    pub lanes: Vec<Lane>,
}

impl std::ops::Add for Depth {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            ready: self.ready + other.ready,
            held: self.held + other.held,
            delayed: self.delayed + other.delayed,
            dead: self.dead + other.dead,
        }
    }
}

/// A durable queue of tasks, with the fleet's append-only journal of everything that was ever discovered.
#[async_trait]
pub trait TaskQueue: Send + Sync + std::fmt::Debug {
    /// Puts tasks into the journal and the queue. When this returns, both survive the death of this process and of the broker.
    async fn publish(&self, tasks: Vec<Task>) -> Result<Published, QueueError>;

    /// Starts a consumer. Dropping it gives back every task it still holds, attempt counts unchanged.
    async fn consume(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>, QueueError>;

    /// How many tasks are where, in all lanes together.
    async fn depth(&self) -> Result<Depth, QueueError>;

    /// The same by lane; dead letters count for the lane they came from.
    async fn lane_depths(&self) -> Result<BTreeMap<LaneName, Depth>, QueueError>;

    /// Every entry of the journal, oldest first; what cannot be read comes as an error and the stream goes on.
    async fn journal(&self) -> Result<BoxStream<'static, Result<JournalEntry, QueueError>>, QueueError>;

    /// Every task that is ready, held or delayed, for the ledger; exact when quiet.
    async fn pending(&self) -> Result<Vec<(Task, TaskState)>, QueueError>;

    /// Dead letters, oldest first.
    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, QueueError>;

    /// Makes the dead letter of `item` a ready task again, at attempt 1, and forgets the letter.
    async fn replay(&self, item: &ItemId) -> Result<(), QueueError>;

    /// Forgets these dead letters, as [`dead_letters`](Self::dead_letters) showed them, for good; answers how many were there
    /// and are no more. A letter is told from others by all that it says but the time. What is to be kept of them must be
    /// durable elsewhere before: to the ledger a forgotten item is a lost one.
    async fn purge(&self, letters: &[DeadLetter]) -> Result<usize, QueueError>;

    /// Takes the lock `name` if nobody has it. It is free again when the guard is dropped or its process dies.
    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn LockGuard>>, QueueError>;
}

/// Where an unfinished task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Waiting to be taken.
    Ready,
    /// Taken and not yet finished.
    Held,
    /// Waiting for its delay to pass.
    Delayed,
}

/// Proof that a lock is held.
pub trait LockGuard: Send + Sync + std::fmt::Debug {
    /// Whether the lock is still ours; false after the connection that carried it died.
    fn held(&self) -> bool;
}

/// Takes tasks, never more at once than it may hold.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for the next task. While the consumer holds all it may, this waits for one to be finished.
    /// Cancel safe: dropping the future loses no task.
    async fn next(&mut self) -> Result<Box<dyn Claim>, QueueError>;
}

/// A task that this consumer holds and nobody else does. Each way of finishing is durable when it returns;
/// when it fails the task is still held. Dropping an unfinished claim gives the task back, attempt unchanged.
#[async_trait]
pub trait Claim: Send + Sync + std::fmt::Debug {
    /// The task.
    fn task(&self) -> &Task;

    /// The task is done and never comes back.
    async fn ack(&mut self) -> Result<(), QueueError>;

    /// The task is ready again at once, attempt unchanged.
    async fn release(&mut self) -> Result<(), QueueError>;

    /// The task is hidden for `delay`, then ready with attempt + 1 and `failure` as its last failure.
    async fn retry(&mut self, delay: Duration, failure: Failure) -> Result<(), QueueError>;

    /// The task becomes a dead letter.
    async fn dead(&mut self, failure: Failure) -> Result<(), QueueError>;
}

/// Now, for implementations that must compare delays with a clock.
pub type Now = std::sync::Arc<dyn Fn() -> Timestamp + Send + Sync>;
