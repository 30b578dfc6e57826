//! The queue in one file on this machine, for `scrapefleet run`.
//!
//! Confirmed means: in the file, and the file fsynced. One thread writes, and callers who come at the same time share
//! an fsync. Who holds a task is known in memory only, so when the process dies, everything that was not acked is
//! ready again when the file is next opened. How often a task was handed out and not finished is in the file: a
//! task that takes its process down with it each time becomes a dead letter ([`Reason::HolderDied`](crate::Reason)).
//!
//! The file is one process's at a time. It grows with the journal, which is never cut: about 300 bytes for each item
//! ever discovered. The room of finished tasks is used again.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, future, stream, stream::BoxStream};
use jiff::Timestamp;
use scrapefleet_api::{ItemId, LaneName};

use crate::{
    Consumer, ConsumerOptions, DeadLetter, Depth, JournalEntry, LockGuard, Now, Published, QueueError, Task,
    TaskQueue, TaskState, lanes::Picker, locks::Locks, message, purge::Wanted,
};

mod change;
mod claim;
mod consumer;
mod fault;
mod file;
mod mailbox;
mod opening;
mod reading;
mod shelf;
mod tables;
mod writer;

use change::{Change, Entry};
use consumer::EmbeddedConsumer;
use file::File;
use mailbox::{Mailbox, Room};
use opening::Opening;
use shelf::Shelf;
use writer::{Desk, Writer};

#[cfg(test)]
mod faults;

/// How many dead letters are purged at once.
const PURGES: usize = 64;

/// How a queue file is used.
#[derive(Clone)]
pub struct Options {
    /// Reads the time; delays are compared with it.
    pub now: Now,
    /// How often a task is handed out without being finished before it is given up. 20 is what `RabbitMQ`'s quorum
    /// queues allow by default.
    pub max_deliveries: u32,
    /// The most memory for pages of the file, in bytes.
    pub cache_bytes: usize,
}

impl Options {
    /// The default options: 20 deliveries, 8 MiB of cache.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self { now, max_deliveries: 20, cache_bytes: 8 * 1024 * 1024 }
    }
}

/// A queue in a file. Clones are handles to the same queue; with the last of them, and of its consumers and claims, the
/// file is closed.
#[derive(Debug, Clone)]
pub struct Embedded {
    inner: Arc<Inner>,
}

/// Opens the queue in the file `path`, or makes it where there is none. Reads the whole file once.
///
/// Fails with [`QueueError::InUse`] while another process has it, [`QueueError::Corrupt`] when it is damaged or no queue,
/// and [`QueueError::Unwritable`] when it cannot be there.
pub async fn open(path: impl AsRef<Path>, options: Options) -> Result<Embedded, QueueError> {
    let path = path.as_ref().to_owned();
    blocking(move || start(File::open(Opening::on_disk(&path, options.cache_bytes))?, options, true)).await
}

/// Opens an existing queue for reading only: every change answers [`QueueError::Unwritable`]. Several processes can do this
/// at once, but not beside one that writes; then it fails with [`QueueError::InUse`].
pub async fn open_read_only(path: impl AsRef<Path>, options: Options) -> Result<Embedded, QueueError> {
    let path = path.as_ref().to_owned();
    blocking(move || {
        start(File::open_read_only(Opening::on_disk(&path, options.cache_bytes))?, options, false)
    })
    .await
}

fn start(file: File, options: Options, writable: bool) -> Result<Embedded, QueueError> {
    let inventory = file.read(tables::take_inventory)?;
    let desk = Arc::new(Desk::new(file, Shelf::stocked(&inventory)));
    let writer = Writer::new(Arc::clone(&desk), inventory.next);
    let thread = std::thread::Builder::new().name("queue-writer".to_owned()).spawn(move || writer.run());
    let thread = thread.map_err(|e| QueueError::Unreachable(format!("no thread for its writer: {e}")))?;
    let inner = Inner { desk, options, writable, locks: Locks::new(), thread: Mutex::new(Some(thread)) };
    Ok(Embedded { inner: Arc::new(inner) })
}

/// What handles, consumers and claims share.
struct Inner {
    desk: Arc<Desk>,
    options: Options,
    writable: bool,
    locks: Locks,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("file", &self.desk.file).finish_non_exhaustive()
    }
}

impl Inner {
    fn now(&self) -> Timestamp {
        (self.options.now)()
    }

    /// The shelf as of now: a delay that has passed is over for every caller alike.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        let now = self.now().as_millisecond();
        let mut stock = self.desk.shelf();
        if stock.promote(now) {
            self.desk.changed.notify_waiters();
        }
        stock
    }

    /// Waits for room to ask for a change.
    async fn room(&self, bytes: usize) -> Result<Room<'_>, QueueError> {
        if !self.writable {
            return Err(self.desk.file.read_only());
        }
        self.desk.mailbox.room(bytes).await
    }

    async fn change(&self, bytes: usize, change: Change) -> Result<Published, QueueError> {
        let room = self.room(bytes).await?;
        self.desk.mailbox.post(room, change).await.unwrap_or(Err(QueueError::Closed))
    }

    /// Ends everything: what waits to be written is written, then the file is let go.
    fn close(&self) {
        self.locks.close();
        self.desk.mailbox.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It fails only if the writer panicked; then the panic has been reported, and nothing more is written.
            drop(thread.join());
        }
        self.desk.shelf().close();
        self.desk.changed.notify_waiters();
        self.desk.file.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl Embedded {
    /// Closes the queue: what waits to be written is written, held tasks are given back, and another process may open
    /// the file when this returns. Every later call, through any handle, answers [`QueueError::Closed`].
    pub async fn close(&self) -> Result<(), QueueError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            inner.close();
            Ok(())
        })
        .await
    }

    /// Puts `message` into `lane` as it is, as a program of another version might have. It is not in the journal.
    pub async fn publish_raw(&self, lane: &LaneName, message: &[u8]) -> Result<(), QueueError> {
        message::check_size(message, "the message")?;
        let change = Change::Put { lane: lane.clone(), message: message.to_vec() };
        self.inner.change(message.len(), change).await.map(drop)
    }
}

#[async_trait]
impl TaskQueue for Embedded {
    async fn publish(&self, tasks: Vec<Task>) -> Result<Published, QueueError> {
        let entries = tasks.into_iter().map(Entry::of).collect::<Result<Vec<_>, _>>()?;
        let mut published = Published::default();
        for part in parts(entries) {
            let bytes = part.iter().map(Entry::bytes).sum();
            let done = self.inner.change(bytes, Change::Publish(part)).await?;
            published.new += done.new;
            published.known += done.known;
        }
        Ok(published)
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>, QueueError> {
        drop(self.inner.room(0).await?);
        let number = self.inner.shelf().connect(Picker::new(&options)?);
        Ok(Box::new(EmbeddedConsumer::new(Arc::clone(&self.inner), number)))
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let lanes = self.lane_depths().await?;
        Ok(lanes.into_values().fold(Depth::default(), |sum, lane| sum + lane))
    }

    async fn lane_depths(&self) -> Result<BTreeMap<LaneName, Depth>, QueueError> {
        let mut depths = self.inner.shelf().depths();
        depths.retain(|_, depth| *depth != Depth::default());
        Ok(depths)
    }

    async fn journal(&self) -> Result<BoxStream<'static, Result<JournalEntry, QueueError>>, QueueError> {
        Ok(reading::journal(Arc::clone(&self.inner)))
    }

    async fn pending(&self) -> Result<Vec<(Task, TaskState)>, QueueError> {
        reading::pending(&self.inner).await
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, QueueError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.desk.file.read(reading::letters)).await
    }

    async fn replay(&self, item: &ItemId) -> Result<(), QueueError> {
        self.inner.change(item.as_str().len(), Change::Replay(item.clone())).await.map(drop)
    }

    async fn purge(&self, letters: &[DeadLetter]) -> Result<usize, QueueError> {
        let (inner, letters) = (Arc::clone(&self.inner), letters.to_vec());
        let numbers =
            blocking(move || inner.desk.file.read(|txn| reading::numbers(txn, Wanted::of(&letters)))).await?;
        let inner = Arc::clone(&self.inner);
        let purged = stream::iter(numbers).map(move |number| purge(Arc::clone(&inner), number));
        // Asked for together they share an fsync.
        purged.buffer_unordered(PURGES).try_fold(0, |sum, one| future::ready(Ok(sum + one))).await
    }

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn LockGuard>>, QueueError> {
        Ok(self.inner.locks.take(name).map(|held| Box::new(held) as Box<dyn LockGuard>))
    }
}

/// Forgets one dead letter; how many that were: none when somebody else was faster.
async fn purge(inner: Arc<Inner>, number: u64) -> Result<usize, QueueError> {
    match inner.change(size_of::<u64>(), Change::Purge(number)).await {
        Ok(_) => Ok(1),
        Err(QueueError::NotFound(_)) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Cuts a publish into parts that fit into the mailbox. Each is confirmed on its own; if one fails, publishing all
/// again is harmless.
fn parts(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut parts: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = usize::MAX;
    for entry in entries {
        bytes = bytes.saturating_add(entry.bytes());
        match parts.last_mut() {
            Some(part) if bytes <= Mailbox::most_bytes() => part.push(entry),
            _ => {
                bytes = entry.bytes();
                parts.push(vec![entry]);
            }
        }
    }
    parts
}

/// Runs `work`, which waits for the disk, where it holds up nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueueError> + Send + 'static,
) -> Result<T, QueueError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(QueueError::Unreachable(format!("the work on the file did not end: {e}"))))
}
