//! What is mounted below a folder, and unmounting it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use procfs::process::Process;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};

/// The mount points below a folder, in the order they were mounted.
pub(crate) fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mounts = Process::myself().and_then(|this| this.mountinfo()).context("read the table of mounts")?;
    Ok(mounts
        .0
        .into_iter()
        .map(|mount| mount.mount_point)
        .filter(|point| point.starts_with(folder))
        .collect())
}

/// Mounts a folder on itself, shared with nobody.
pub(crate) fn make_private(folder: &Path) -> Result<()> {
    mount_bind(folder, folder)
        .and_then(|()| mount_change(folder, MountPropagationFlags::PRIVATE))
        .with_context(|| format!("mount {} on itself", folder.display()))
}

/// Unmounts all of these, the last first. One that is in use is detached: it goes when its last user does.
pub(crate) fn unmount_all(points: &[PathBuf]) -> Result<()> {
    for point in points.iter().rev() {
        if unmount(point, UnmountFlags::empty()).is_err() {
            unmount(point, UnmountFlags::DETACH).with_context(|| format!("unmount {}", point.display()))?;
        }
    }
    Ok(())
}
