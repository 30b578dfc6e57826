//! The store's folder: what every step of it does to the file system.

use std::{
    collections::HashSet,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use cap_std::{
    ambient_authority,
    fs::{Dir, File, OpenOptions},
};

use super::fault::fault;
use crate::{Key, StoreError};

/// Where temporary files are.
pub(super) const TEMPORARY: &str = ".temporary";

/// Where metadata is.
pub(super) const METADATA: &str = ".metadata";

/// Folders whose durability is remembered; at this many all are forgotten, which costs an fsync each.
const MAX_SETTLED: usize = 10_000;

/// The store's folder.
#[derive(Debug)]
pub(super) struct Folder {
    /// Its absolute path.
    path: PathBuf,
    writable: bool,
    /// Folders below it whose own names are known to be on the disk.
    settled: Mutex<HashSet<PathBuf>>,
    /// Switched off only where a test makes tens of thousands of puts that need not survive it.
    fsync: bool,
    /// What was made durable and what was made visible, in order.
    #[cfg(test)]
    pub(super) trace: Mutex<Vec<(&'static str, PathBuf)>>,
}

/// An open folder and how to speak of it.
pub(super) struct Open<'a> {
    folder: &'a Folder,
    dir: Dir,
}

/// A temporary file; removed when dropped, whatever else has become of its bytes.
pub(super) struct Temporary<'a> {
    open: &'a Open<'a>,
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(path: PathBuf, writable: bool) -> Self {
        Self {
            path,
            writable,
            settled: Mutex::default(),
            fsync: true,
            #[cfg(test)]
            trace: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn without_fsync(self) -> Self {
        Self { fsync: false, ..self }
    }

    /// Opens the folder. Done for each call, so that a folder that was away and is back is found.
    pub(super) fn open(&self) -> Result<Open<'_>, StoreError> {
        let dir = Dir::open_ambient_dir(&self.path, ambient_authority())
            .map_err(|error| fault("open", &self.path, &self.path, &error))?;
        Ok(Open { folder: self, dir })
    }

    /// The same, to write.
    pub(super) fn open_to_write(&self) -> Result<Open<'_>, StoreError> {
        if self.writable {
            return self.open();
        }
        Err(StoreError::Refused(format!("the store in {} was opened for reading only", self.path.display())))
    }
}

/// Where the bytes of an object are.
pub(super) fn path_of(key: &Key) -> PathBuf {
    key.parts().collect()
}

/// Where the metadata of bytes with hash `sha256` at `key` is.
pub(super) fn metadata_path_of(key: &Key, sha256: &str) -> PathBuf {
    Path::new(METADATA).join(path_of(key)).join(format!("{sha256}.json"))
}

impl Open<'_> {
    /// The folder itself; every path is relative to it.
    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The error for `doing` something to `path`.
    pub(super) fn fault(&self, doing: &str, path: &Path, error: &io::Error) -> StoreError {
        fault(doing, &self.folder.path.join(path), &self.folder.path, error)
    }

    /// Writes `bytes` to a temporary file, and to the disk.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<Temporary<'_>, StoreError> {
        let path = Path::new(TEMPORARY).join(format!("{}-{:016x}", std::process::id(), fastrand::u64(..)));
        self.make_folder(Path::new(TEMPORARY))?;
        let fault = |error: io::Error| self.fault("write", &path, &error);
        let mut file =
            self.dir.open_with(&path, OpenOptions::new().write(true).create_new(true)).map_err(fault)?;
        let temporary = Temporary { open: self, path: path.clone() };
        file.write_all(bytes).and_then(|()| self.flush(&file, Path::new("file"))).map_err(fault)?;
        Ok(temporary)
    }

    /// Waits until a file, or the names in a folder, are on the disk.
    fn flush(&self, file: &File, path: &Path) -> io::Result<()> {
        self.note("sync", path);
        if self.folder.fsync { file.sync_all() } else { Ok(()) }
    }

    #[cfg(test)]
    fn note(&self, what: &'static str, path: &Path) {
        self.folder.trace.lock().unwrap().push((what, path.to_owned()));
    }

    #[cfg(not(test))]
    fn note(&self, _: &'static str, _: &Path) {
        let _ = self;
    }

    /// Makes the folder `path` and those above it, where they are not there.
    pub(super) fn make_folder(&self, path: &Path) -> Result<(), StoreError> {
        for folder in folders_down_to(path) {
            match self.dir.create_dir(folder) {
                Ok(()) => {
                    self.note("make", folder);
                    self.unsettle(folder);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.must_be_folder(folder)?,
                Err(error) => return Err(self.fault("make the folder", folder, &error)),
            }
        }
        Ok(())
    }

    fn must_be_folder(&self, path: &Path) -> Result<(), StoreError> {
        let found = self.dir.symlink_metadata(path).map_err(|error| self.fault("look at", path, &error))?;
        if found.is_dir() {
            return Ok(());
        }
        let shown = self.folder.path.join(path);
        let kind = if found.is_symlink() { "a symbolic link, which is not followed" } else { "a file" };
        Err(StoreError::Refused(format!(
            "{} should be a folder and is {kind}: move it away",
            shown.display()
        )))
    }

    /// Makes sure that what is in the folder `path` is on the disk, and that it can be found there after a crash.
    pub(super) fn settle(&self, path: &Path) -> Result<(), StoreError> {
        self.sync(path)?;
        for folder in folders_down_to(path) {
            if !self.settled().contains(folder) {
                self.sync(folder.parent().unwrap_or(Path::new("")))?;
                self.mark_settled(folder);
            }
        }
        Ok(())
    }

    fn sync(&self, path: &Path) -> Result<(), StoreError> {
        let opened = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let synced = self.dir.open(opened).and_then(|folder| self.flush(&folder, path));
        synced.map_err(|error| self.fault("sync", path, &error))
    }

    fn settled(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.folder.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsettle(&self, path: &Path) {
        self.settled().remove(path);
    }

    fn mark_settled(&self, path: &Path) {
        let mut settled = self.settled();
        if settled.len() >= MAX_SETTLED {
            settled.clear();
        }
        settled.insert(path.to_owned());
    }
}

impl Temporary<'_> {
    /// Links the file to `path`, in a folder that is made if need be. False: something is there already.
    pub(super) fn link(&self, path: &Path) -> Result<bool, StoreError> {
        let Self { open, path: from } = self;
        open.make_folder(path.parent().unwrap_or(Path::new("")))?;
        match open.dir.hard_link(from, &open.dir, path) {
            Ok(()) => {
                open.note("link", path);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(open.fault("link a file to", path, &error)),
        }
    }

    /// When the file was last written, by the clock of the file system.
    pub(super) fn modified(&self) -> io::Result<cap_std::time::SystemTime> {
        self.open.dir.metadata(&self.path)?.modified()
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.open.dir.remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a temporary file remains; a later start removes it");
        }
    }
}

/// The folders on the way to `path`, the outermost first, `path` itself last.
fn folders_down_to(path: &Path) -> Vec<&Path> {
    let mut folders: Vec<_> = path.ancestors().filter(|folder| !folder.as_os_str().is_empty()).collect();
    folders.reverse();
    folders
}
