//! Opening the file: making a new one so that it is never half there, checking an old one before it is trusted.

use std::{
    fmt::Debug,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{Builder, Database, DatabaseError, Error, ReadOnlyDatabase, ReadableDatabase};
use tracing::warn;

use super::{fault, tables};

/// From which size on a file that is more than half empty is compacted when it is opened, in bytes.
const WORTH_COMPACTING: u64 = 16 * 1024 * 1024;

/// How redb reaches the bytes of a file. There is one way; tests put another in its place, which fails when told to.
pub(super) trait Medium: Debug + Send + Sync {
    /// The database in `file`, which is made in it when the file is empty.
    fn attach(&self, builder: &Builder, file: fs::File) -> Result<Database, DatabaseError>;
}

/// The disk as it is.
#[derive(Debug)]
pub(super) struct Disk;

impl Medium for Disk {
    fn attach(&self, builder: &Builder, file: fs::File) -> Result<Database, DatabaseError> {
        builder.create_file(file)
    }
}

/// Where a file is and how it is opened.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    pub(super) path: PathBuf,
    /// The most memory for pages, in bytes.
    pub(super) cache_bytes: usize,
    pub(super) medium: Arc<dyn Medium>,
}

impl Opening {
    /// Of the file on the disk.
    pub(super) fn on_disk(path: &Path, cache_bytes: usize) -> Self {
        Self { path: path.to_owned(), cache_bytes, medium: Arc::new(Disk) }
    }

    /// Opens the file, checked, or makes it where there is none.
    pub(super) fn open(&self) -> Result<Database, Error> {
        if self.path.try_exists()? { self.open_checked() } else { self.create() }
    }

    /// Opens a file that was open before, to go on with it.
    pub(super) fn open_again(&self) -> Result<Database, Error> {
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        if file.metadata()?.len() == 0 {
            return Err(Error::Corrupted("the file is empty".to_owned()));
        }
        Ok(self.medium.attach(&self.builder(), file)?)
    }

    /// Opens the file for reading only.
    pub(super) fn open_read_only(&self) -> Result<ReadOnlyDatabase, Error> {
        match self.builder().open_read_only(&self.path) {
            // Its last process died: opening it for writing mends that.
            Err(DatabaseError::RepairAborted) => drop(self.open_again()?),
            other => return Ok(other?),
        }
        Ok(self.builder().open_read_only(&self.path)?)
    }

    /// Opens a file and checks every page of it, since a flipped bit would otherwise be found only by who reads it.
    fn open_checked(&self) -> Result<Database, Error> {
        let mut database = self.open_again()?;
        if !database.check_integrity()? {
            return Err(Error::Corrupted("some pages do not match their checksums".to_owned()));
        }
        // Only when needed, so that a full disk can be looked at.
        if !tables::is_prepared(&database.begin_read()?)? {
            prepare(&database)?;
        }
        if let Err(error) = compact(&mut database, fs::metadata(&self.path)?.len()) {
            warn!(path = %self.path.display(), %error, "the queue's file could not be compacted");
            drop(database);
            return self.open_again();
        }
        Ok(database)
    }

    /// Makes the file under another name first, so that whoever finds it finds it whole: a queue that was cut to
    /// nothing is then an error and not a new queue.
    fn create(&self) -> Result<Database, Error> {
        let folder = fault::folder_of(&self.path);
        let draft = tempfile::Builder::new().prefix(".queue-").suffix(".tmp").tempfile_in(folder)?;
        let database = self.medium.attach(&self.builder(), draft.reopen()?)?;
        prepare(&database)?;
        match draft.persist_noclobber(&self.path) {
            Ok(_) => {
                fs::File::open(folder)?.sync_all()?;
                Ok(database)
            }
            Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => self.open_checked(),
            Err(e) => Err(e.error.into()),
        }
    }

    fn builder(&self) -> Builder {
        let mut builder = Database::builder();
        builder.set_cache_size(self.cache_bytes);
        builder
    }
}

fn prepare(database: &Database) -> Result<(), Error> {
    let txn = database.begin_write()?;
    tables::prepare(&txn)?;
    Ok(txn.commit()?)
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
