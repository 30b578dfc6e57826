//! Control groups: what the processes of a cluster are found by, whoever started them and whether or not that was
//! recorded, and where the kubelets put their pods.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use procfs::process::Process;

use super::wait;

/// How long groups may take to empty after their processes were killed.
const EMPTY_WITHIN: Duration = Duration::from_secs(20);

/// The control-group hierarchies of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hierarchies {
    /// Version 1: one tree per controller, and perhaps one of version 2 without controllers.
    Separate(Vec<PathBuf>),
    /// Version 2: one tree.
    Unified(PathBuf),
}

impl Hierarchies {
    /// Those mounted on this machine.
    pub(crate) fn of_this_machine() -> Result<Self> {
        let mounts =
            Process::myself().and_then(|this| this.mountinfo()).context("read the table of mounts")?;
        let mounts: Vec<_> = mounts.0.into_iter().map(|mount| (mount.fs_type, mount.mount_point)).collect();
        Self::among(&mounts)
    }

    fn among(mounts: &[(String, PathBuf)]) -> Result<Self> {
        let of_type = |wanted: &str| -> Vec<PathBuf> {
            mounts.iter().filter(|(kind, _)| kind == wanted).map(|(_, point)| point.clone()).collect()
        };
        let separate = of_type("cgroup");
        if separate.iter().any(|point| point.ends_with("pids")) {
            // Where version 2 is mounted beside it, container runtimes make their groups there too.
            return Ok(Self::Separate([separate, of_type("cgroup2")].concat()));
        }
        match of_type("cgroup2").into_iter().next() {
            Some(point) => Ok(Self::Unified(point)),
            None => bail!(
                "no control groups: neither a cgroup2 file system nor the pids controller of version 1 is mounted"
            ),
        }
    }

    /// The tree whose membership tells which processes belong to a cluster.
    fn membership(&self) -> &Path {
        match self {
            // cannot fail to find: `among` made sure that it is there.
            Self::Separate(all) => {
                all.iter().find(|point| point.ends_with("pids")).map_or(Path::new("/"), PathBuf::as_path)
            }
            Self::Unified(point) => point,
        }
    }

    fn roots(&self) -> Vec<&Path> {
        match self {
            Self::Separate(all) => all.iter().map(PathBuf::as_path).collect(),
            Self::Unified(point) => vec![point],
        }
    }

    /// Makes a group in every hierarchy, ready to hold pods.
    pub(crate) fn make(&self, group: &Path) -> Result<()> {
        for root in self.roots() {
            let mut path = root.to_path_buf();
            for part in group {
                if matches!(self, Self::Unified(_)) {
                    delegate(&path)?;
                }
                path.push(part);
                fs::create_dir_all(&path)
                    .with_context(|| format!("make control group {}", path.display()))?;
                inherit(&path, "cpuset.cpus")?;
                inherit(&path, "cpuset.mems")?;
            }
            if matches!(self, Self::Unified(_)) {
                delegate(&path)?;
            }
        }
        Ok(())
    }

    /// Makes the group that a component is started in, and gives the file a process joins it by.
    pub(crate) fn make_for_component(&self, group: &Path) -> Result<PathBuf> {
        let path = self.membership().join(group);
        fs::create_dir_all(&path).with_context(|| format!("make control group {}", path.display()))?;
        Ok(path.join("cgroup.procs"))
    }

    /// The processes in a group and all groups below it.
    pub(crate) fn processes(&self, group: &Path) -> Vec<i32> {
        let mut found = Vec::new();
        collect(&self.membership().join(group), &mut found);
        found
    }

    /// Kills every process in a group and below, and waits until none is left.
    pub(crate) fn kill(&self, group: &Path) -> Result<()> {
        let emptied = wait::until(EMPTY_WITHIN, || {
            let left = self.processes(group);
            for pid in &left {
                if let Some(pid) = rustix::process::Pid::from_raw(*pid) {
                    // One that has ended meanwhile is what we want.
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
            left.is_empty()
        });
        if !emptied {
            bail!(
                "control group {}: processes {:?} are still there {} s after they were killed",
                group.display(),
                self.processes(group),
                EMPTY_WITHIN.as_secs()
            );
        }
        Ok(())
    }

    /// Removes a group and those below it from every hierarchy. They must be empty.
    pub(crate) fn remove(&self, group: &Path) -> Result<()> {
        for root in self.roots() {
            let path = root.join(group);
            let removed = wait::until(EMPTY_WITHIN, || remove_tree(&path));
            if !removed {
                bail!("control group {}: cannot be removed, something is still in it", path.display());
            }
        }
        Ok(())
    }

    /// Removes a group from every hierarchy unless somebody else's groups are in it.
    pub(crate) fn remove_if_empty(&self, group: &Path) {
        for root in self.roots() {
            // Refused by the kernel while there is anything in it, which is the point.
            let _ = fs::remove_dir(root.join(group));
        }
    }
}

/// Lets groups below this one have controllers of their own (version 2 only).
fn delegate(path: &Path) -> Result<()> {
    let available = fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
    for controller in available.split_whitespace() {
        let file = path.join("cgroup.subtree_control");
        fs::write(&file, format!("+{controller}"))
            .with_context(|| format!("give {controller} to {}", file.display()))?;
    }
    Ok(())
}

/// A new group of version 1 has no processors and no memory until it is told which.
fn inherit(path: &Path, file: &str) -> Result<()> {
    let own = path.join(file);
    let Ok(value) = fs::read_to_string(&own) else { return Ok(()) };
    let Some(parent) = path.parent().map(|parent| parent.join(file)) else { return Ok(()) };
    if !value.trim().is_empty() || !parent.exists() {
        return Ok(());
    }
    let inherited = fs::read_to_string(&parent).with_context(|| format!("read {}", parent.display()))?;
    // An empty file is version 2 saying "the parent's", which needs no writing.
    if inherited.trim().is_empty() {
        return Ok(());
    }
    fs::write(&own, inherited.trim()).with_context(|| format!("write {}", own.display()))
}

fn folders_in(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn collect(path: &Path, found: &mut Vec<i32>) {
    let members = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    found.extend(members.lines().filter_map(|line| line.parse::<i32>().ok()));
    for folder in folders_in(path) {
        collect(&folder, found);
    }
}

fn remove_tree(path: &Path) -> bool {
    let below = folders_in(path).into_iter().all(|folder| remove_tree(&folder));
    below && (fs::remove_dir(path).is_ok() || !path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(list: &[(&str, &str)]) -> Vec<(String, PathBuf)> {
        list.iter().map(|(kind, point)| ((*kind).to_owned(), PathBuf::from(point))).collect()
    }

    #[test]
    fn version_1_is_used_where_it_holds_the_pids_controller_even_beside_version_2() {
        let hybrid = mounts(&[
            ("cgroup", "/sys/fs/cgroup/memory"),
            ("cgroup", "/sys/fs/cgroup/pids"),
            ("cgroup2", "/sys/fs/cgroup/unified"),
        ]);
        let found = Hierarchies::among(&hybrid).unwrap();
        assert_eq!(found.membership(), Path::new("/sys/fs/cgroup/pids"));
        assert_eq!(found.roots().len(), 3);
    }

    #[test]
    fn version_2_is_used_where_it_is_alone() {
        let found = Hierarchies::among(&mounts(&[("cgroup2", "/sys/fs/cgroup")])).unwrap();
        assert_eq!(found, Hierarchies::Unified(PathBuf::from("/sys/fs/cgroup")));
    }

    #[test]
    fn a_machine_without_control_groups_is_told_so() {
        let error = Hierarchies::among(&mounts(&[("ext4", "/")])).unwrap_err().to_string();
        assert!(error.contains("no control groups"), "{error}");
    }

    #[test]
    fn processes_are_found_in_groups_below_too() {
        let root = tempfile::tempdir().unwrap();
        let hierarchies = Hierarchies::Unified(root.path().to_path_buf());
        fs::create_dir_all(root.path().join("a/b/c")).unwrap();
        fs::write(root.path().join("a/cgroup.procs"), "1\n").unwrap();
        fs::write(root.path().join("a/b/c/cgroup.procs"), "2\n3\n").unwrap();
        let mut found = hierarchies.processes(Path::new("a"));
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3]);
        assert!(hierarchies.processes(Path::new("nothing")).is_empty());
    }
}
