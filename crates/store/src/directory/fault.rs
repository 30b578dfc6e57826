//! What the file system says, as an error of the store that says what to do.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use crate::StoreError;

/// The error for `doing` (as in "write") something to `path`, below the store's folder `folder`.
pub(super) fn fault(doing: &str, path: &Path, folder: &Path, error: &io::Error) -> StoreError {
    let folder = folder.display();
    let said = format!("cannot {doing} {}: {error}", path.display());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full(format!(
            "{said}; free space there, or move the store ({folder}) to a larger disk"
        )),
        // The one refusal that is not the system's: cap-std's, of a path that leads out of the folder.
        ErrorKind::PermissionDenied if error.raw_os_error().is_none() => StoreError::Refused(format!(
            "{said}; a symbolic link leads out of {folder}, which is not followed: remove it"
        )),
        kind => match advice(kind) {
            Some(advice) => StoreError::Refused(format!("{said}; {advice} (the store's folder is {folder})")),
            None => StoreError::Unreachable(format!("{said} (the store's folder is {folder})")),
        },
    }
}

/// What a person must do; none where the same call may simply succeed later.
fn advice(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::PermissionDenied => "give this program's user access to it, or choose another folder",
        ErrorKind::ReadOnlyFilesystem => {
            "its file system is mounted read-only: mount it writable, or choose another folder"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "a file is where a folder should be: move it away, or choose another folder"
        }
        ErrorKind::IsADirectory => {
            "a folder is where a file should be: move it away, or choose another folder"
        }
        ErrorKind::NotFound => {
            "it is not there; was the folder removed or unmounted? put it back, or start anew"
        }
        ErrorKind::InvalidFilename => {
            "its file system does not take names that long: choose another one, or a shorter key template"
        }
        ErrorKind::CrossesDevices => "the folder must be on one file system from top to bottom",
        ErrorKind::Unsupported | ErrorKind::InvalidInput => {
            "its file system lacks what the store needs (hard links, fsync of folders): choose another one"
        }
        ErrorKind::FileTooLarge | ErrorKind::TooManyLinks => {
            "its file system does not take that: choose another one"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn each_error_of_the_system_has_its_class() {
        let class = |errno: Errno| {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            match fault("write", Path::new("/store/a/b"), Path::new("/store"), &error) {
                StoreError::Full(text) => ("full", text),
                StoreError::Refused(text) => ("refused", text),
                StoreError::Unreachable(text) => ("unreachable", text),
                StoreError::Damaged { why, .. } => ("damaged", why),
            }
        };
        let table = [
            (Errno::NOSPC, "full"),
            (Errno::DQUOT, "full"),
            (Errno::ACCESS, "refused"),
            (Errno::PERM, "refused"),
            (Errno::ROFS, "refused"),
            (Errno::NOTDIR, "refused"),
            (Errno::ISDIR, "refused"),
            (Errno::NOENT, "refused"),
            (Errno::NAMETOOLONG, "refused"),
            (Errno::XDEV, "refused"),
            (Errno::OPNOTSUPP, "refused"),
            (Errno::INVAL, "refused"),
            (Errno::FBIG, "refused"),
            (Errno::MLINK, "refused"),
            (Errno::IO, "unreachable"),
            (Errno::MFILE, "unreachable"),
            (Errno::STALE, "unreachable"),
            (Errno::TIMEDOUT, "unreachable"),
        ];
        for (errno, expected) in table {
            let (found, text) = class(errno);
            assert_eq!(found, expected, "{errno}: {text}");
            assert!(
                text.contains("cannot write /store/a/b") && text.contains("(/store)")
                    || text.contains("folder is /store"),
                "{text}"
            );
        }
    }
}
