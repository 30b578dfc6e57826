//! Taking a cluster down: its processes, then its mounts, groups and files. What is left is its store of images.

use anyhow::{Context, Result};

use super::command::Tool;
use super::control_groups::Hierarchies;
use super::layout::{ClusterLayout, Place};
use super::{files, mounts, node, own_folders, process};

/// Removes everything of a cluster but its images. Nothing there is fine.
pub(crate) fn remove(layout: &ClusterLayout, groups: &Hierarchies) -> Result<()> {
    forget_containers(layout, groups);
    groups.kill(&layout.control_group())?;
    mounts::unmount_all(&mounts::below(&layout.root)?)?;
    groups.remove(&layout.control_group())?;
    groups.remove_if_empty("scrapefleet".as_ref());
    remove_files(layout)
}

/// Stops a node as a power failure would: every process and container of it is killed, what lay in memory is lost,
/// its disk stays.
pub(crate) fn kill_node(layout: &ClusterLayout, groups: &Hierarchies, node: Place) -> Result<()> {
    groups.kill(&layout.place_group(node))?;
    for component in node::components(layout, node) {
        process::forget(layout, &component.name)?;
    }
    own_folders::forget(layout, node)?;
    mounts::unmount_all(&mounts::below(&layout.node(node))?)?;
    groups.remove(&layout.place_group(node))?;
    files::remove(&layout.node(node).join("run"))
}

/// Removes the images too.
pub(crate) fn purge(layout: &ClusterLayout) -> Result<()> {
    files::remove(&layout.root)
}

/// Lets the container runtimes forget the containers of the pods that are about to end: they are kept with the images,
/// and the next cluster would find them. A runtime that does not answer is left to the kubelet of the next cluster,
/// which throws away what it does not know.
fn forget_containers(layout: &ClusterLayout, groups: &Hierarchies) {
    for node in layout.nodes() {
        if !layout.containerd_socket(node).exists()
            || groups.kill(&layout.place_group(node).join("kubepods")).is_err()
        {
            continue;
        }
        let ctr =
            || Tool::new("ctr").arg("--address").arg(layout.containerd_socket(node)).args(["-n", "k8s.io"]);
        let ids = ctr().args(["containers", "ls", "-q"]).output().unwrap_or_default();
        for id in ids.split_whitespace() {
            let _ = ctr().args(["tasks", "delete", "--force", id]).finish();
            let _ = ctr().args(["containers", "delete", id]).finish();
        }
    }
}

fn remove_files(layout: &ClusterLayout) -> Result<()> {
    for name in files::names_in(&layout.root)? {
        let path = layout.root.join(&name);
        if name == "lock" {
            continue;
        }
        if name.starts_with("node") {
            for inner in files::names_in(&path)?.into_iter().filter(|inner| inner != "images") {
                files::remove(&path.join(inner))?;
            }
            continue;
        }
        files::remove(&path).with_context(|| format!("remove the state of cluster {}", layout.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::layout;
    use super::*;

    #[test]
    fn what_ran_on_a_stopped_node_counts_as_stopped_on_purpose() {
        let cache = tempfile::tempdir().unwrap();
        let mut layout = layout();
        layout.root = cache.path().join("cluster");
        let groups = Hierarchies::Unified(cache.path().join("groups"));
        // No process of that number started then.
        let dead = process::Record { pid: 1, started: 1, fingerprint: String::new() };
        for node in layout.nodes() {
            for component in node::components(&layout, node) {
                process::record(&layout, &component.name, &dead).unwrap();
            }
        }
        kill_node(&layout, &groups, Place::Node(2)).unwrap();
        let recorded = |name| process::recorded(&layout, name).is_some();
        assert!(!recorded("node2-containerd") && !recorded("node2-kubelet") && !recorded("node2-kube-proxy"));
        assert!(recorded("node1-containerd") && recorded("node1-kubelet") && recorded("node1-kube-proxy"));
    }
}
