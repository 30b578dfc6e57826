//! The file on disk: opening it, reading and writing it, and opening it again after a write has failed.
//!
//! redb refuses all further work after an I/O error until the file is opened again. So the first who meets that
//! state, reader or writer, opens it again; a full disk then costs the writes that did not fit, and nothing else.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use redb::{Database, Error, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::{fault, opening::Opening};
use crate::QueueError;

/// How much must fit on the disk before writing is tried again after a failure, in bytes. Each failed try costs a repair
/// of the file, this only a small file beside it.
const PROBE_BYTES: usize = 1024 * 1024;

/// The file of a queue.
#[derive(Debug)]
pub(super) struct File {
    opening: Opening,
    slot: RwLock<Slot>,
}

#[derive(Debug)]
struct Slot {
    handle: Handle,
    /// Counts how often the file was opened, so that of many who meet a failure only the first opens it again.
    generation: u64,
}

enum Handle {
    Writable(Database),
    ReadOnly(ReadOnlyDatabase),
    /// It could not be opened again.
    Lost(QueueError),
    /// The queue is closed.
    Closed,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Writable(_) => "Writable",
            Self::ReadOnly(_) => "ReadOnly",
            Self::Lost(_) => "Lost",
            Self::Closed => "Closed",
        })
    }
}

/// Why a piece of work with the file failed.
enum Failed {
    /// The file has to be opened again before anything else works.
    Stale(QueueError),
    /// As said.
    Final(QueueError),
}

/// Why something was not written, unless it was.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) error: QueueError,
    /// The opening of the file at which it was tried.
    pub(super) generation: u64,
}

impl Failed {
    fn error(self) -> QueueError {
        match self {
            Self::Stale(error) | Self::Final(error) => error,
        }
    }
}

impl File {
    /// Opens the file, or makes it where there is none.
    pub(super) fn open(opening: Opening) -> Result<Self, QueueError> {
        fault::check_path(&opening.path)?;
        let database = guarded(&opening.path, || opening.open())?;
        Ok(Self::holding(opening, Handle::Writable(database)))
    }

    /// Opens an existing file for reading only. Like redb itself, this cannot be beside a process that writes.
    pub(super) fn open_read_only(opening: Opening) -> Result<Self, QueueError> {
        fault::check_path(&opening.path)?;
        let database = guarded(&opening.path, || opening.open_read_only())?;
        Ok(Self::holding(opening, Handle::ReadOnly(database)))
    }

    fn holding(opening: Opening, handle: Handle) -> Self {
        Self { opening, slot: RwLock::new(Slot { handle, generation: 0 }) }
    }

    /// Reads in a snapshot of what is written.
    pub(super) fn read<T>(
        &self,
        work: impl Fn(&ReadTransaction) -> Result<T, Error>,
    ) -> Result<T, QueueError> {
        let attempt = || {
            let slot = self.slot();
            let result = match &slot.handle {
                Handle::Writable(database) => self.caught(|| work(&database.begin_read()?)),
                Handle::ReadOnly(database) => self.caught(|| work(&database.begin_read()?)),
                Handle::Lost(error) => Err(Failed::Stale(error.clone())),
                Handle::Closed => Err(Failed::Final(QueueError::Closed)),
            };
            (result, slot.generation)
        };
        match attempt() {
            (Err(Failed::Stale(_)), generation) => {
                self.reopen(generation)?;
                attempt().0.map_err(|failed| fault::unreadable(failed.error()))
            }
            (result, _) => result.map_err(Failed::error),
        }
    }

    /// Writes all or nothing; on disk when this returns. After an error the caller must [`reopen`](Self::reopen) what
    /// was open then, and may find that all was written nevertheless.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, Error>,
    ) -> Result<T, Unwritten> {
        let begun = self.begin();
        let (slot, txn) = begun.map_err(|error| Unwritten { error, generation: self.slot().generation })?;
        let attempt = self.caught(|| {
            let value = work(&txn)?;
            txn.commit()?;
            Ok(value)
        });
        attempt.map_err(|failed| Unwritten { error: failed.error(), generation: slot.generation })
    }

    /// Begins to write; on a file that is opened again where an earlier failure, of a read for one, made that necessary.
    fn begin(&self) -> Result<(RwLockReadGuard<'_, Slot>, WriteTransaction), QueueError> {
        let attempt = || {
            let slot = self.slot();
            let txn = match &slot.handle {
                Handle::Writable(database) => self.caught(|| Ok(database.begin_write()?)),
                Handle::ReadOnly(_) => Err(Failed::Final(fault::read_only(self.path()))),
                Handle::Lost(error) => Err(Failed::Stale(error.clone())),
                Handle::Closed => Err(Failed::Final(QueueError::Closed)),
            };
            (slot, txn)
        };
        let (slot, txn) = match attempt() {
            (slot, Err(Failed::Stale(_))) => {
                let generation = slot.generation;
                drop(slot);
                self.reopen(generation)?;
                attempt()
            }
            begun => begun,
        };
        Ok((slot, txn.map_err(Failed::error)?))
    }

    /// Looks whether the disk takes anything at all.
    pub(super) fn probe(&self) -> Result<(), QueueError> {
        fault::probe(self.path(), PROBE_BYTES)
    }

    /// The number of the present opening, to be given to [`reopen`](Self::reopen).
    pub(super) fn generation(&self) -> u64 {
        self.slot().generation
    }

    /// Opens the file again, unless somebody has done so since `generation`.
    pub(super) fn reopen(&self, generation: u64) -> Result<(), QueueError> {
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        if slot.generation == generation {
            if matches!(slot.handle, Handle::ReadOnly(_) | Handle::Closed) {
                return Err(QueueError::Closed);
            }
            // The old handle has to let go of the file's lock first.
            slot.handle = Handle::Closed;
            slot.handle = match guarded(self.path(), || self.opening.open_again()) {
                Ok(database) => Handle::Writable(database),
                Err(error) => Handle::Lost(error),
            };
            slot.generation += 1;
        }
        match &slot.handle {
            Handle::Lost(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// What whoever tries to change a file that was opened for reading is told.
    pub(super) fn read_only(&self) -> QueueError {
        fault::read_only(self.path())
    }

    /// Lets go of the file for good.
    pub(super) fn close(&self) {
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        slot.handle = Handle::Closed;
    }

    fn path(&self) -> &Path {
        &self.opening.path
    }

    fn slot(&self) -> RwLockReadGuard<'_, Slot> {
        self.slot.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn caught<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Failed> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error @ (Error::Io(_) | Error::PreviousIo | Error::DatabaseClosed))) => {
                Err(Failed::Stale(fault::explain(self.path(), error)))
            }
            Ok(Err(error)) => Err(Failed::Final(fault::explain(self.path(), error))),
            Err(panic) => Err(Failed::Final(fault::panicked(self.path(), panic.as_ref()))),
        }
    }
}

/// Runs `work`; a panic in it, which redb is known for on damaged files, becomes an error.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, Error>) -> Result<T, QueueError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| fault::explain(path, error)),
        Err(panic) => Err(fault::panicked(path, panic.as_ref())),
    }
}
