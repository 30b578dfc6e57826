//! Folders that the programs of a node use whatever their settings say. Each node has mounts of its own, in which these
//! folders are the node's: no two nodes meet in them, nor a node and this machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::command::Tool;
use super::layout::{ClusterLayout, Place};
use super::{files, mounts};

/// Such a folder, and the name of the node's own.
const FOLDERS: [(&str, &str); 4] = [
    // Sockets of the shims and what runc knows of containers.
    ("/run/containerd", "containerd"),
    // What pods were given by the network's plugins.
    ("/var/lib/cni", "cni"),
    // The socket for device plugins: a kubelet that starts empties its folder.
    ("/var/lib/kubelet", "kubelet"),
    // Links to the logs of containers.
    ("/var/log/containers", "logs"),
];

/// Puts a folder in the place of another, in pairs, where it is not yet.
const BIND: &str = r#"while [ $# -gt 0 ]; do [ "$1" -ef "$2" ] || mount --bind "$1" "$2"; shift 2; done"#;

/// Gives a node mounts of its own, with its own folders in them. What is there already stays.
pub(crate) fn ensure(layout: &ClusterLayout, node: Place) -> Result<()> {
    let Some(file) = layout.mounts(node) else { return Ok(()) };
    if !mounts::below(&layout.root)?.contains(&file) {
        hold_new_mounts(layout, &file)?;
    }
    let pairs = pairs(layout, node);
    for folder in pairs.iter().flatten() {
        files::make_folder(folder)?;
    }
    Tool::new("nsenter")
        .arg(format!("--mount={}", file.display()))
        .args(["--", "sh", "-euc", BIND, "sh"])
        .args(pairs.iter().flatten())
        .run()
        .with_context(|| format!("give {} folders of its own", node.name()))
}

/// Forgets the mounts of a node. They are gone when its last process is.
pub(crate) fn forget(layout: &ClusterLayout, node: Place) -> Result<()> {
    let Some(file) = layout.mounts(node) else { return Ok(()) };
    let held = mounts::below(&layout.root)?.into_iter().filter(|point| *point == file);
    mounts::unmount_all(&held.collect::<Vec<_>>())
}

/// Makes a copy of this machine's mounts that this file holds. What is mounted and unmounted here from now on is there too,
/// where this machine shares its mounts; never the other way round.
fn hold_new_mounts(layout: &ClusterLayout, file: &Path) -> Result<()> {
    files::write(file, "")?;
    if let Some(folder) = file.parent()
        && !mounts::below(&layout.root)?.iter().any(|point| point == folder)
    {
        // The kernel lets no mount that is shared hold others.
        mounts::make_private(folder)?;
    }
    Tool::new("unshare")
        .arg(format!("--mount={}", file.display()))
        .args(["--propagation", "slave", "true"])
        .run()
        .with_context(|| format!("make the mounts that {} holds", file.display()))
}

/// A node's own folders, each with the one whose place it takes.
fn pairs(layout: &ClusterLayout, node: Place) -> Vec<[PathBuf; 2]> {
    let own = layout.node(node).join("run/own");
    FOLDERS.map(|(folder, name)| [own.join(name), folder.into()]).to_vec()
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::layout;
    use super::*;

    #[test]
    fn two_nodes_have_the_same_folders_of_this_machine_replaced_by_different_ones() {
        let (one, two) = (pairs(&layout(), Place::Node(1)), pairs(&layout(), Place::Node(2)));
        for ([own, folder], [others, same]) in one.iter().zip(&two) {
            assert_eq!(folder, same);
            assert!(own.starts_with("/cache/clusters/test/node1/run"), "{}", own.display());
            assert!(others.starts_with("/cache/clusters/test/node2/run"), "{}", others.display());
        }
        assert_eq!(one.len(), FOLDERS.len());
    }
}
