//! What can be wrong with the file, said so that the person at the terminal knows what to do.

use std::{
    any::Any,
    fs,
    io::{self, ErrorKind, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

use redb::Error;

use crate::QueueError;

/// Refuses a path that cannot be a queue's file, before anything is touched.
pub(super) fn check_path(path: &Path) -> Result<(), QueueError> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(QueueError::Unwritable(format!(
            "`{shown}` is a folder; give the path of a file in it, such as `{}`",
            path.join("queue.redb").display()
        ))),
        Ok(found) if !found.is_file() => {
            Err(QueueError::Unwritable(format!("`{shown}` is not a regular file; give the path of one")))
        }
        Ok(_) => Ok(()),
        Err(e) if e.kind() == ErrorKind::NotFound => check_folder(path),
        Err(e) => Err(explain_io(path, &e)),
    }
}

fn check_folder(path: &Path) -> Result<(), QueueError> {
    let folder = folder_of(path);
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(QueueError::Unwritable(format!("`{}` is not a folder", folder.display()))),
        Err(e) => Err(explain_io(folder, &e)),
    }
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Says what an error of redb means.
pub(super) fn explain(path: &Path, error: Error) -> QueueError {
    match error {
        Error::DatabaseAlreadyOpen => in_use(path),
        Error::Io(e) => explain_io(path, &e),
        Error::PreviousIo | Error::DatabaseClosed => stale(path),
        Error::UpgradeRequired(_) | Error::TableTypeMismatch { .. } | Error::TableDoesNotExist(_) => {
            corrupt(path, &format!("it is no queue of this program: {error}"))
        }
        other => corrupt(path, &other.to_string()),
    }
}

fn explain_io(path: &Path, error: &io::Error) -> QueueError {
    let shown = path.display();
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => {
            corrupt(path, &format!("it is cut short or not a queue: {error}"))
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            QueueError::Unwritable(format!(
                "`{shown}`: {error}; make room, nothing that was confirmed is lost and writing goes on by itself"
            ))
        }
        ErrorKind::NotFound => {
            QueueError::Unwritable(format!("`{shown}` does not exist; make the folder first"))
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            QueueError::Unwritable(format!("`{shown}`: {error}; choose a place this user may write to"))
        }
        _ => QueueError::Unwritable(format!("`{shown}`: {error}")),
    }
}

/// What redb said when it panicked.
pub(super) fn panicked(path: &Path, panic: &(dyn Any + Send)) -> QueueError {
    let said =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    corrupt(path, said.unwrap_or("reading it failed in a way that has no message"))
}

fn corrupt(path: &Path, found: &str) -> QueueError {
    QueueError::Corrupt(format!(
        "`{}`: {found}; restore the file from a copy, or move it away and start anew: what is stored stays stored, \
         and what the site still lists is found again",
        path.display()
    ))
}

/// The error of a read. It has nothing to do with writing, whatever the disk says.
pub(super) fn unreadable(error: QueueError) -> QueueError {
    match error {
        QueueError::Unwritable(said) => QueueError::Unreachable(said),
        other => other,
    }
}

/// A write has failed and the file is about to be opened again.
fn stale(path: &Path) -> QueueError {
    QueueError::Unreachable(format!("`{}` is being opened again after a failed write", path.display()))
}

/// Somebody tried to write to a queue that was opened for reading.
pub(super) fn read_only(path: &Path) -> QueueError {
    QueueError::Unwritable(format!("`{}` was opened for reading only", path.display()))
}

fn in_use(path: &Path) -> QueueError {
    let holder = match lock_holder(path) {
        Some(pid) if pid == std::process::id() => format!("this process (pid {pid})"),
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    };
    QueueError::InUse(format!("{holder} has `{}` open; stop that run first", path.display()))
}

/// The process that has locked the file, from the kernel's table of locks, where there is one to read.
fn lock_holder(path: &Path) -> Option<u32> {
    let inode = fs::metadata(path).ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| pid_of_lock(line, inode))
}

/// Reads a line like `1: FLOCK  ADVISORY  WRITE 4242 fe:00:1311 0 EOF`. The device is left out of the comparison, since
/// file systems such as btrfs and overlayfs show another one here than they show to `stat`.
fn pid_of_lock(line: &str, inode: u64) -> Option<u32> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, "FLOCK", _, "WRITE", pid, file, ..] = words.as_slice() else { return None };
    let found: u64 = file.rsplit(':').next()?.parse().ok()?;
    (found == inode).then(|| pid.parse().ok()).flatten()
}

/// Tries whether `bytes` can be written to the disk of the queue.
pub(super) fn probe(path: &Path, bytes: usize) -> Result<(), QueueError> {
    let attempt = || {
        let mut file =
            tempfile::Builder::new().prefix(".queue-").suffix(".tmp").tempfile_in(folder_of(path))?;
        file.write_all(&vec![0; bytes])?;
        file.as_file().sync_data()
    };
    attempt().map_err(|e| explain_io(path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_read_from_the_kernels_table() {
        let line = "3: FLOCK  ADVISORY  WRITE 4242 fe:00:1311 0 EOF";
        assert_eq!(pid_of_lock(line, 1311), Some(4242));
        assert_eq!(pid_of_lock(line, 1312), None);
        assert_eq!(pid_of_lock("3: POSIX  ADVISORY  WRITE 4242 fe:00:1311 0 EOF", 1311), None);
        assert_eq!(pid_of_lock("3: -> FLOCK  ADVISORY  WRITE 4242 fe:00:1311 0 EOF", 1311), None);
        assert_eq!(pid_of_lock("", 1311), None);
    }

    #[test]
    fn paths_that_cannot_be_are_refused_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let cases = [
            (folder.path().to_owned(), "is a folder"),
            (folder.path().join("no").join("queue"), "make the folder first"),
            (file.join("queue"), "Not a directory"),
            ("/dev/null".into(), "not a regular file"),
        ];
        for (path, said) in cases {
            let error = check_path(&path).unwrap_err();
            assert!(
                matches!(error, QueueError::Unwritable(_)) && error.to_string().contains(said),
                "{error}"
            );
        }
    }

    #[test]
    fn a_full_disk_is_not_mistaken_for_damage() {
        let full = Error::Io(io::Error::from(ErrorKind::StorageFull));
        assert!(matches!(explain(Path::new("q"), full), QueueError::Unwritable(_)));
        let short = Error::Io(io::Error::from(ErrorKind::UnexpectedEof));
        assert!(matches!(explain(Path::new("q"), short), QueueError::Corrupt(_)));
    }
}
