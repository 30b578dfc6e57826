//! The one thread that writes. It takes all that waits, writes it in one transaction, makes it durable with one
//! fsync, and only then answers: the more callers, the more of them share an fsync.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tracing::{error, warn};

use super::{
    change::{Change, Done, Request},
    file::{File, Unwritten},
    mailbox::{Batch, Mailbox},
    shelf::Shelf,
    tables::{self, Tables},
};
use crate::QueueError;

/// How long after a failed write the writer tries by itself to write what nobody waits for, and to open a file that
/// could not be opened.
const RETRY: Duration = Duration::from_secs(1);

/// What the writer shares with the callers.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) file: File,
    pub(super) mailbox: Mailbox,
    shelf: Mutex<Shelf>,
    /// Told whenever a task may have become ready.
    pub(super) changed: Notify,
}

impl Desk {
    pub(super) fn new(file: File, shelf: Shelf) -> Self {
        Self { file, mailbox: Mailbox::new(), shelf: Mutex::new(shelf), changed: Notify::new() }
    }

    pub(super) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer's own state.
#[derive(Debug)]
pub(super) struct Writer {
    desk: Arc<Desk>,
    /// The next free number in the file.
    next: u64,
    disk: Disk,
    /// When the last write failed, if it did.
    failed_at: Option<Instant>,
}

/// What is known of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    /// The last write went well.
    Good,
    /// The last write failed; the file has been opened again since.
    Suspect,
    /// The last write failed, and the file could not be opened again since.
    Lost,
}

/// Nobody may wait for a writer that is no more, whatever ended it.
impl Drop for Writer {
    fn drop(&mut self) {
        self.desk.mailbox.abandon();
        self.desk.shelf().close();
        self.desk.changed.notify_waiters();
    }
}

impl Writer {
    pub(super) fn new(desk: Arc<Desk>, next: u64) -> Self {
        Self { desk, next, disk: Disk::Good, failed_at: None }
    }

    /// Writes until the mailbox is closed and empty.
    pub(super) fn run(mut self) {
        while let Some(batch) = self.desk.mailbox.collect() {
            self.handle(batch);
        }
    }

    fn handle(&mut self, batch: Batch) {
        let taken = batch.taken();
        if batch.requests.is_empty() && self.failed_at.is_some_and(|at| at.elapsed() < RETRY) {
            // Nobody waits for this; it can be tried again later.
            self.desk.mailbox.wake_in(RETRY);
        } else {
            self.handle_now(batch.requests);
        }
        self.desk.mailbox.written(taken);
    }

    fn handle_now(&mut self, requests: Vec<Request>) {
        let marks = self.desk.shelf().take_marks();
        if requests.is_empty() && marks.is_empty() && self.disk != Disk::Lost {
            return;
        }
        match self.write(&requests, &marks) {
            Ok(done) => {
                self.failed_at = None;
                self.confirm(requests, done);
            }
            Err(error) => {
                self.failed_at = Some(Instant::now());
                self.fail(requests, &marks, &error);
                self.desk.mailbox.wake_in(RETRY);
            }
        }
    }

    fn write(&mut self, requests: &[Request], marks: &[(u64, u32)]) -> Result<Vec<Done>, QueueError> {
        self.recover()?;
        let written = self.desk.file.write(|txn| {
            let mut tables = Tables::open(txn, self.next)?;
            tables.mark(marks)?;
            let done = requests.iter().map(|r| tables.apply(&r.change)).collect::<Result<Vec<_>, _>>()?;
            Ok((done, tables.next()))
        });
        match written {
            Ok((done, next)) => {
                self.next = next;
                self.disk = Disk::Good;
                Ok(done)
            }
            Err(Unwritten { error, generation }) => {
                error!(%error, changes = requests.len(), "the queue's file cannot be written");
                // Also when it cannot be opened, what was written is not known until it can.
                drop(self.catch_up(generation));
                Err(error)
            }
        }
    }

    /// After a failed write, looks whether the next can do better.
    fn recover(&mut self) -> Result<(), QueueError> {
        if self.disk != Disk::Good {
            self.desk.file.probe()?;
        }
        // Nothing may be written to a file that says something else than the shelf.
        if self.disk == Disk::Lost { self.catch_up(self.desk.file.generation()) } else { Ok(()) }
    }

    /// Opens the file again and takes over what it says: a write that failed may be in it nevertheless.
    fn catch_up(&mut self, generation: u64) -> Result<(), QueueError> {
        self.disk = Disk::Lost;
        let opened = self.desk.file.reopen(generation);
        match opened.and_then(|()| self.desk.file.read(tables::take_inventory)) {
            Ok(inventory) => {
                self.desk.shelf().restock(&inventory);
                self.next = inventory.next;
                self.disk = Disk::Suspect;
                self.desk.changed.notify_waiters();
                Ok(())
            }
            Err(error) => {
                warn!(%error, "the queue's file cannot be opened again");
                Err(error)
            }
        }
    }

    fn confirm(&self, requests: Vec<Request>, done: Vec<Done>) {
        let mut answers = Vec::with_capacity(done.len());
        let mut stock = self.desk.shelf();
        for one in done {
            one.moves.into_iter().for_each(|moved| stock.apply(moved));
            answers.push(one.answer);
        }
        drop(stock);
        self.desk.changed.notify_waiters();
        for (request, answer) in requests.into_iter().zip(answers) {
            // Whoever no longer waits for the answer has it all the same: the change is on disk.
            drop(request.reply.send(answer));
        }
    }

    fn fail(&self, requests: Vec<Request>, marks: &[(u64, u32)], error: &QueueError) {
        let mut stock = self.desk.shelf();
        stock.not_marked(marks);
        for request in &requests {
            if let Change::Finish { key, ticket, .. } = &request.change {
                stock.not_finished(*key, *ticket);
            }
        }
        drop(stock);
        self.desk.changed.notify_waiters();
        for request in requests {
            drop(request.reply.send(Err(error.clone())));
        }
    }
}
