//! The one thread that writes. It takes all that waits, writes it in one transaction, makes it durable with one
//! fsync, and only then answers: the more callers, the more of them share an fsync.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tracing::{error, warn};

use super::{
    change::{Change, Done, Request},
    file::File,
    mailbox::{Batch, Mailbox},
    shelf::Shelf,
    tables::{self, Tables},
};
use crate::QueueError;

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

impl Writer {
    pub(super) fn new(desk: Arc<Desk>, next: u64) -> Self {
        Self { desk, next, disk: Disk::Good }
    }

    /// Writes until the mailbox is closed and empty.
    pub(super) fn run(mut self) {
        while let Some(batch) = self.desk.mailbox.collect() {
            self.handle(batch);
        }
    }

    fn handle(&mut self, batch: Batch) {
        let taken = batch.taken();
        // Marks alone are not worth a try on a bad disk; they wait for something that is.
        if !batch.requests.is_empty() || self.disk == Disk::Good {
            let marks = self.desk.shelf().take_marks();
            match self.write(&batch.requests, &marks) {
                Ok(done) => self.confirm(batch.requests, done),
                Err(error) => self.fail(batch.requests, &marks, &error),
            }
        }
        self.desk.mailbox.written(taken);
    }

    fn write(&mut self, requests: &[Request], marks: &[(u64, u32)]) -> Result<Vec<Done>, QueueError> {
        if requests.is_empty() && marks.is_empty() {
            return Ok(Vec::new());
        }
        self.recover()?;
        let generation = self.desk.file.generation();
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
            Err(error) => {
                error!(%error, changes = requests.len(), "the queue's file cannot be written");
                self.catch_up(generation);
                Err(error)
            }
        }
    }

    /// After a failed write, looks whether the next can do better.
    fn recover(&mut self) -> Result<(), QueueError> {
        if self.disk != Disk::Good {
            self.desk.file.probe()?;
        }
        if self.disk == Disk::Lost {
            self.catch_up(self.desk.file.generation());
        }
        Ok(())
    }

    /// Opens the file again and takes over what it says: a write that failed may be in it nevertheless.
    fn catch_up(&mut self, generation: u64) {
        let opened = self.desk.file.reopen(generation);
        match opened.and_then(|()| self.desk.file.read(tables::take_inventory)) {
            Ok(inventory) => {
                self.desk.shelf().restock(&inventory);
                self.next = inventory.next;
                self.disk = Disk::Suspect;
            }
            Err(error) => {
                warn!(%error, "the queue's file cannot be opened again");
                self.disk = Disk::Lost;
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
