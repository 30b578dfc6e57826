//! Opening the store: is the folder fit for it, and what did dead writers leave behind?

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    fault::fault,
    folder::{Folder, METADATA, Open, TEMPORARY, Temporary},
};
use crate::StoreError;

/// A temporary file this old has no writer any more: a put that takes longer than seconds has failed.
const DEAD_AFTER: Duration = Duration::from_hours(1);

/// Opens the folder, creates it if need be, and tries that it can be written.
pub(super) fn create(path: &Path) -> Result<Folder, StoreError> {
    let path = absolute(path)?;
    make_durably(&path)?;
    let folder = Folder::new(path, true);
    prepare(&folder.open_to_write()?)?;
    Ok(folder)
}

fn prepare(open: &Open<'_>) -> Result<(), StoreError> {
    open.make_folder(Path::new(METADATA))?;
    let probe = open.write(b"probe")?;
    try_link(open, &probe)?;
    open.settle(Path::new(TEMPORARY))?;
    sweep(open, &probe)
}

/// Opens a folder that is there, to read.
pub(super) fn existing(path: &Path) -> Result<Folder, StoreError> {
    let path = absolute(path)?;
    let found = fs::metadata(&path).map_err(|error| fault("open", &path, &path, &error))?;
    if !found.is_dir() {
        return Err(fault("open", &path, &path, &io::ErrorKind::NotADirectory.into()));
    }
    Ok(Folder::new(path, false))
}

fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).map_err(|error| fault("find", path, path, &error))
}

/// Makes the folder and those above it where they are not there, and sees to it that a crash does not undo it.
fn make_durably(path: &Path) -> Result<(), StoreError> {
    let missing: Vec<_> =
        path.ancestors().take_while(|folder| fs::symlink_metadata(folder).is_err()).collect();
    fs::create_dir_all(path).map_err(|error| fault("make the folder", path, path, &error))?;
    for parent in missing.iter().filter_map(|folder| folder.parent()) {
        let synced = fs::File::open(parent).and_then(|parent| parent.sync_all());
        synced.map_err(|error| fault("sync", parent, path, &error))?;
    }
    Ok(())
}

/// Some file systems have no hard links; better to say so now than at the first artifact.
fn try_link(open: &Open<'_>, probe: &Temporary<'_>) -> Result<(), StoreError> {
    let link = Path::new(TEMPORARY).join(format!("link-{:016x}", fastrand::u64(..)));
    probe.link(&link)?;
    open.dir().remove_file(&link).map_err(|error| open.fault("remove", &link, &error))
}

/// Removes temporary files of dead writers. Their age is counted by the clock of the file system, which wrote `probe` now.
fn sweep(open: &Open<'_>, probe: &Temporary<'_>) -> Result<(), StoreError> {
    let unlisted = |error: io::Error| open.fault("list", Path::new(TEMPORARY), &error);
    let now = probe.modified().map_err(unlisted)?;
    let mut removed = 0_u64;
    for entry in open.dir().read_dir(TEMPORARY).map_err(unlisted)? {
        let entry = entry.map_err(unlisted)?;
        let modified = entry.metadata().and_then(|found| found.modified());
        let is_dead =
            modified.is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age > DEAD_AFTER));
        if is_dead {
            match entry.remove_file() {
                Ok(()) => removed += 1,
                Err(error) => {
                    tracing::warn!(file = ?entry.file_name(), %error, "an old temporary file cannot be removed");
                }
            }
        }
    }
    if removed > 0 {
        tracing::info!(removed, "removed temporary files that dead writers left in the store");
    }
    Ok(())
}
