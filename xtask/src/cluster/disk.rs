//! A disk for the pods of each node: a file system of bounded size in a file, so that a test can fill it and fill nothing else. What
//! it does not use of its size takes no room on this machine.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::command::Tool;
use super::control_groups::Hierarchies;
use super::layout::{ClusterLayout, Place};
use super::{files, mounts};

/// How much a node's pods may write, all together.
const SIZE: u64 = 6 << 30;

/// Where a node's kubelet has the files of its pods: what the disk is mounted at.
pub(crate) fn folder(layout: &ClusterLayout, node: Place) -> PathBuf {
    layout.node(node).join("kubelet")
}

/// Makes a node's disk, if there is none, and mounts it, if it is not. Whatever runs on the node has its files already, and is left
/// alone. What unmounts everything below the node's folder unmounts it too.
pub(crate) fn ensure(layout: &ClusterLayout, groups: &Hierarchies, node: Place) -> Result<()> {
    let folder = folder(layout, node);
    let mounted = mounts::below(&folder)?.contains(&folder);
    if mounted || !groups.processes(&layout.place_group(node)).is_empty() {
        return Ok(());
    }
    let image = layout.node(node).join("disk.ext4");
    files::make_folder(&folder)?;
    if !image.exists() {
        make(&image, SIZE)?;
    }
    // The tables of files are zero already, for the file is new.
    Tool::new("mount")
        .args(["-o", "loop,noatime,noinit_itable"])
        .args([&image, &folder])
        .run()
        .with_context(|| format!("give {} a disk, which needs a loop device", node.name()))
}

/// Makes an empty file system in a file; whole or not at all.
fn make(image: &Path, size: u64) -> Result<()> {
    let unfinished = image.with_extension("unfinished");
    let file = File::create(&unfinished).with_context(|| format!("make {}", unfinished.display()))?;
    file.set_len(size)?;
    // Nothing on it outlives the cluster, so it needs no journal; and no room is kept for root, who writes all there is.
    Tool::new("/sbin/mkfs.ext4")
        .args(["-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard"])
        .arg(&unfinished)
        .run()?;
    std::fs::rename(&unfinished, image).with_context(|| format!("make {}", image.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    use super::super::layout::tests::layout;
    use super::*;

    #[test]
    fn a_disk_is_a_file_system_that_takes_no_room_before_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("disk.ext4");
        make(&image, 1 << 30).unwrap();
        let made = std::fs::metadata(&image).unwrap();
        assert_eq!(made.len(), 1 << 30);
        assert!(made.blocks() * 512 < 16 << 20, "{} blocks", made.blocks());
        let mut magic = [0; 2];
        File::open(&image).unwrap().read_exact_at(&mut magic, 1080).unwrap();
        assert_eq!(magic, [0x53, 0xef]);
        assert_eq!(files::names_in(folder.path()).unwrap(), ["disk.ext4"]);
    }

    #[test]
    fn a_disk_is_below_its_nodes_folder_where_all_is_unmounted_when_the_node_stops() {
        let folder = folder(&layout(), Place::Node(2));
        assert!(folder.starts_with(layout().node(Place::Node(2))), "{}", folder.display());
    }
}
