//! Ending a browser whole: every process of it is killed, then its folder is removed.

use std::{
    ffi::OsStr,
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::kill::kill_all;
use crate::process_tree::with_variable;

/// How long killing and removing are given each: a process in uninterruptible sleep must not keep anyone for ever.
const LIMIT: Duration = Duration::from_secs(5);

/// The variables that lead to the browser's folder all that is written beside its profile: sockets, caches. HOME stays: it has
/// the certificates a person trusts.
pub(super) const LEAD_TO_FOLDER: [&str; 3] = ["TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"];

/// Kills what `find` finds and removes `folder`; says what could not be.
pub(super) fn end(folder: &Path, find: impl FnMut() -> Vec<i32>) -> Result<(), String> {
    let left = kill_all(LIMIT, find);
    let removed = remove(folder);
    if !left.is_empty() {
        return Err(format!("processes {left:?} cannot be killed"));
    }
    removed.map_err(|e| format!("cannot remove {}: {e}", folder.display()))
}

/// Does what a guard has left undone that was killed itself. What it has adopted is nobody's child any more, so the browser's
/// processes are known by the folder that they were told to write to.
pub(crate) fn end_unguarded(folder: &Path) -> Result<(), String> {
    let [variable, ..] = LEAD_TO_FOLDER;
    end(folder, || with_variable(OsStr::new(variable), folder.as_os_str()))
}

/// Removes the folder; what is dying may still write to it, so it is tried for a while.
fn remove(folder: &Path) -> io::Result<()> {
    let started = Instant::now();
    loop {
        match fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) if started.elapsed() >= LIMIT => return Err(e),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
