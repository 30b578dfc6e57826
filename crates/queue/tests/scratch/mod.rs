//! Files for tests.

use std::path::Path;

use tempfile::TempDir;

/// The file as it was at one moment: read until nothing was written while it was read.
pub(crate) fn still(path: &Path) -> Vec<u8> {
    loop {
        let bytes = std::fs::read(path).unwrap();
        if std::fs::read(path).unwrap() == bytes {
            return bytes;
        }
    }
}

/// A folder for files, in memory where there is such a place: an fsync on a busy disk takes milliseconds, and none of
/// these tests cuts the power.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
