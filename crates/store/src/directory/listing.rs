//! Listing objects, a batch at a time.

use std::path::{Path, PathBuf};

use cap_std::fs::{DirEntry, ReadDir};

use super::{
    folder::{Folder, Open},
    is_absent,
};
use crate::{Key, StoreError};

/// Entries looked at before others get their turn.
const BATCH: usize = 512;

/// A walk through the folder. It holds one open folder for each level it is in, and no names.
pub(super) struct Listing {
    /// Folders being read, the innermost last.
    levels: Vec<Level>,
    /// What names in the outermost folder begin with.
    beginning: String,
}

struct Level {
    path: PathBuf,
    entries: ReadDir,
}

/// What an entry is to a listing.
enum Found {
    Object(Key),
    Folder(PathBuf),
    Nothing,
}

impl Listing {
    /// Starts at the innermost folder that holds every key with `prefix`.
    pub(super) fn start(folder: &Folder, prefix: &str) -> Result<Self, StoreError> {
        let (start, beginning) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let mut listing = Self { levels: Vec::new(), beginning: beginning.to_owned() };
        // A prefix that no key has, such as `../`, has no keys.
        if start.is_empty() && !prefix.starts_with('/') || Key::new(start).is_ok() {
            listing.enter(&folder.open()?, PathBuf::from(start))?;
        }
        Ok(listing)
    }

    pub(super) fn is_over(&self) -> bool {
        self.levels.is_empty()
    }

    /// The next keys, possibly none though there are more.
    pub(super) fn next_batch(&mut self, folder: &Folder) -> Vec<Result<Key, StoreError>> {
        let open = match folder.open() {
            Ok(open) => open,
            Err(error) => {
                self.levels.clear();
                return vec![Err(error)];
            }
        };
        (0..BATCH).filter_map(|_| self.advance(&open).transpose()).collect()
    }

    /// Looks at the next entry, if there is one, and answers its key if it is an object.
    fn advance(&mut self, open: &Open<'_>) -> Result<Option<Key>, StoreError> {
        let Some(level) = self.levels.last_mut() else { return Ok(None) };
        let Some(entry) = level.entries.next() else {
            self.levels.pop();
            return Ok(None);
        };
        let parent = level.path.clone();
        let entry = entry.map_err(|error| open.fault("list", &parent, &error))?;
        match self.judge(open, &parent, &entry)? {
            Found::Object(key) => return Ok(Some(key)),
            Found::Folder(path) => self.enter(open, path)?,
            Found::Nothing => {}
        }
        Ok(None)
    }

    fn enter(&mut self, open: &Open<'_>, path: PathBuf) -> Result<(), StoreError> {
        let opened =
            if path.as_os_str().is_empty() { open.dir().entries() } else { open.dir().read_dir(&path) };
        match opened {
            Ok(entries) => self.levels.push(Level { path, entries }),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(open.fault("list", &path, &error)),
        }
        Ok(())
    }

    fn judge(&self, open: &Open<'_>, parent: &Path, entry: &DirEntry) -> Result<Found, StoreError> {
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        if !self.is_wanted(parent, &shown) {
            return Ok(Found::Nothing);
        }
        let path = parent.join(&name);
        let kind = entry.file_type().map_err(|error| open.fault("look at", &path, &error))?;
        match path.to_str().and_then(|text| Key::new(text).ok()) {
            Some(_) if kind.is_dir() => Ok(Found::Folder(path)),
            Some(key) if kind.is_file() => Ok(Found::Object(key)),
            _ => Err(StoreError::Refused(format!(
                "{:?} in the store's folder is no object: move it away",
                path.display().to_string()
            ))),
        }
    }

    fn is_wanted(&self, parent: &Path, name: &str) -> bool {
        let outermost = self.levels.len() == 1;
        let foreign = name.starts_with('.') || (parent.as_os_str().is_empty() && name == "lost+found");
        !foreign && (!outermost || name.starts_with(&self.beginning))
    }
}
