//! Taking turns: one command at a time works on a cluster, or on the images.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::progress::Progress;
use super::{files, wait};

/// How long one command waits for another one: the longest is the first build of all images.
const WITHIN: Duration = Duration::from_mins(30);

/// Holds a folder against other commands until the file is dropped.
pub(crate) fn take(folder: &Path, progress: Progress) -> Result<File> {
    files::make_folder(folder)?;
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    let mut told = false;
    let taken = wait::until(WITHIN, || {
        let taken = file.try_lock().is_ok();
        if !taken && !told {
            progress.say(format!("another command works in {}: waiting for it", folder.display()));
            told = true;
        }
        taken
    });
    if taken { Ok(file) } else { bail!("{} is still held by another command", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path(), Progress::begin()).unwrap();
        let second = File::create(folder.path().join("lock")).unwrap();
        assert!(second.try_lock().is_err());
        drop(first);
        assert!(second.try_lock().is_ok());
    }
}
