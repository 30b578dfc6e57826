//! The file on disk: opening it, reading and writing it, and opening it again after a write has failed.
//!
//! redb refuses all further work after an I/O error until the file is opened again. So the first who meets that
//! state, reader or writer, opens it again; a full disk then costs the writes that did not fit, and nothing else.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use redb::{Builder, Database, Error, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::{fault, tables};
use crate::QueueError;

/// How much must fit on the disk before writing is tried again after a failure, in bytes. Each failed try costs a repair
/// of the file, this only a small file beside it.
const PROBE_BYTES: usize = 1024 * 1024;

/// From which size on a file that is more than half empty is compacted when it is opened, in bytes.
const WORTH_COMPACTING: u64 = 16 * 1024 * 1024;

/// The file of a queue.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    cache_bytes: usize,
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

impl Failed {
    fn error(self) -> QueueError {
        match self {
            Self::Stale(error) | Self::Final(error) => error,
        }
    }
}

impl File {
    /// Opens the file, or makes it where there is none.
    pub(super) fn open(path: &Path, cache_bytes: usize) -> Result<Self, QueueError> {
        fault::check_path(path)?;
        let database = guarded(path, || {
            if path.try_exists()? { open_checked(path, cache_bytes) } else { create(path, cache_bytes) }
        })?;
        Ok(Self::holding(path, cache_bytes, Handle::Writable(database)))
    }

    /// Opens an existing file for reading only. Like redb itself, this cannot be beside a process that writes.
    pub(super) fn open_read_only(path: &Path, cache_bytes: usize) -> Result<Self, QueueError> {
        fault::check_path(path)?;
        let database = guarded(path, || {
            match builder(cache_bytes).open_read_only(path) {
                // Its last process died: opening it for writing mends that.
                Err(redb::DatabaseError::RepairAborted) => drop(builder(cache_bytes).open(path)?),
                other => return Ok(other?),
            }
            Ok(builder(cache_bytes).open_read_only(path)?)
        })?;
        Ok(Self::holding(path, cache_bytes, Handle::ReadOnly(database)))
    }

    fn holding(path: &Path, cache_bytes: usize, handle: Handle) -> Self {
        let slot = RwLock::new(Slot { handle, generation: 0 });
        Self { path: path.to_owned(), cache_bytes, slot }
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
                attempt().0.map_err(Failed::error)
            }
            (result, _) => result.map_err(Failed::error),
        }
    }

    /// Writes all or nothing; on disk when this returns. After an error the caller must [`reopen`](Self::reopen),
    /// and may find that all was written nevertheless.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, Error>,
    ) -> Result<T, QueueError> {
        let slot = self.slot();
        let database = match &slot.handle {
            Handle::Writable(database) => database,
            Handle::ReadOnly(_) => return Err(fault::read_only(&self.path)),
            Handle::Lost(error) => return Err(error.clone()),
            Handle::Closed => return Err(QueueError::Closed),
        };
        let attempt = self.caught(|| {
            let txn = database.begin_write()?;
            let value = work(&txn)?;
            txn.commit()?;
            Ok(value)
        });
        attempt.map_err(Failed::error)
    }

    /// Looks whether the disk takes anything at all.
    pub(super) fn probe(&self) -> Result<(), QueueError> {
        fault::probe(&self.path, PROBE_BYTES)
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
                return Err(fault::stale(&self.path));
            }
            // The old handle has to let go of the file's lock first.
            slot.handle = Handle::Closed;
            slot.handle = match guarded(&self.path, || Ok(builder(self.cache_bytes).open(&self.path)?)) {
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
        fault::read_only(&self.path)
    }

    /// Lets go of the file for good.
    pub(super) fn close(&self) {
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        slot.handle = Handle::Closed;
    }

    fn slot(&self) -> RwLockReadGuard<'_, Slot> {
        self.slot.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn caught<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Failed> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Error::PreviousIo | Error::DatabaseClosed)) => {
                Err(Failed::Stale(fault::stale(&self.path)))
            }
            Ok(Err(error)) => Err(Failed::Final(fault::explain(&self.path, error))),
            Err(panic) => Err(Failed::Final(fault::panicked(&self.path, panic.as_ref()))),
        }
    }
}

fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    builder
}

/// Opens an existing file and checks every page of it, since a flipped bit would otherwise be found only by who reads it.
fn open_checked(path: &Path, cache_bytes: usize) -> Result<Database, Error> {
    let mut database = builder(cache_bytes).open(path)?;
    if !database.check_integrity()? {
        return Err(Error::Corrupted("some pages do not match their checksums".to_owned()));
    }
    prepare(&database)?;
    compact(&mut database, std::fs::metadata(path)?.len())?;
    Ok(database)
}

/// Gives back the room of tasks that are long finished, where that is worth the copying.
fn compact(database: &mut Database, size: u64) -> Result<(), Error> {
    if size < WORTH_COMPACTING {
        return Ok(());
    }
    let txn = database.begin_write()?;
    let stats = txn.stats()?;
    txn.abort()?;
    if stats.allocated_pages() * (stats.page_size() as u64) < size / 2 {
        while database.compact()? {}
    }
    Ok(())
}

/// Makes the file under another name first, so that whoever finds it finds it whole: a queue that was cut to nothing
/// is then an error and not a new queue.
fn create(path: &Path, cache_bytes: usize) -> Result<Database, Error> {
    let folder = fault::folder_of(path);
    let draft = tempfile::Builder::new().prefix(".queue-").suffix(".tmp").tempfile_in(folder)?;
    let database = builder(cache_bytes).create_file(draft.reopen()?)?;
    prepare(&database)?;
    match draft.persist_noclobber(path) {
        Ok(_) => {
            std::fs::File::open(folder)?.sync_all()?;
            Ok(database)
        }
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => open_checked(path, cache_bytes),
        Err(e) => Err(e.error.into()),
    }
}

fn prepare(database: &Database) -> Result<(), Error> {
    let txn = database.begin_write()?;
    tables::prepare(&txn)?;
    Ok(txn.commit()?)
}

/// Runs `work`; a panic in it, which redb is known for on damaged files, becomes an error.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, Error>) -> Result<T, QueueError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| fault::explain(path, error)),
        Err(panic) => Err(fault::panicked(path, panic.as_ref())),
    }
}
