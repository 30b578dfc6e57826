//! Processes inside pods, as this machine sees them: only where the nodes of the cluster are on this machine.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use rustix::process::{Pid, Signal, kill_process};
use scrapefleet_policy::within;

use crate::space::kubeconfig;

/// How long it may take to run a process out of memory, and the pause between two tries.
const OUT_OF_MEMORY_WITHIN: Duration = Duration::from_secs(30);
const SQUEEZE: Duration = Duration::from_millis(50);

/// A process of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id on this machine.
    pub id: Pid,
    /// The name of its program, as the kernel keeps it: the first 15 bytes.
    pub program: String,
    /// Its command line, with spaces between the words.
    pub command: String,
    /// Memory it has in use, in pages.
    pub pages: u64,
    /// When it was started, in ticks of the kernel since this machine was.
    pub started: u64,
}

/// Sends a signal to every process of a pod whose program has this name, and answers how many there were.
pub fn signal(pod: &Pod, program: &str, signal: Signal) -> Result<usize> {
    let found = running(pod, program)?;
    for process in &found {
        send(process, signal)?;
    }
    Ok(found.len())
}

/// The processes of a pod whose program has this name; there must be one.
pub fn running(pod: &Pod, program: &str) -> Result<Vec<Process>> {
    // The kernel keeps the first 15 bytes of a program's name.
    let name = program.get(..15).unwrap_or(program);
    let found: Vec<_> = of_pod(pod)?.into_iter().filter(|process| process.program == name).collect();
    ensure!(!found.is_empty(), "no process `{program}` of the pod is on this machine");
    Ok(found)
}

/// The first of them: of most programs a pod has one.
pub fn one(pod: &Pod, program: &str) -> Result<Process> {
    running(pod, program)?.into_iter().next().context("no process")
}

/// Sends a signal to a process.
pub fn send(process: &Process, signal: Signal) -> Result<()> {
    kill_process(process.id, signal).with_context(|| format!("signal {} ({:?})", process.program, process.id))
}

/// Whether a process has not ended yet. Another that has its number by now is another.
#[must_use]
pub fn is_there(process: &Process) -> bool {
    let stat = reads(Path::new(&format!("/proc/{}/stat", process.id.as_raw_nonzero())));
    started(&stat) == process.started
}

/// Lowers how much memory a process's control group may have to what it has, until the kernel ends the process for it.
pub async fn run_out_of_memory(process: &Process) -> Result<()> {
    let folder = PathBuf::from(format!("/proc/{}", process.id.as_raw_nonzero()));
    let limit = limits_of(&reads(&folder.join("cgroup"))).into_iter().find(|limit| limit.file.exists());
    let limit = limit.context("the process has no control group for memory")?;
    let squeeze = async {
        while folder.exists() {
            // Where there is more in use than this, version 1 refuses it, and gives back first what it can.
            let _ = std::fs::write(&limit.file, reads(&limit.usage).trim());
            tokio::time::sleep(SQUEEZE).await;
        }
    };
    within(OUT_OF_MEMORY_WITHIN, "run a process out of memory", squeeze).await?;
    Ok(())
}

/// The files that say how much memory a control group may have, and how much it has.
#[derive(Debug, PartialEq, Eq)]
struct Limit {
    file: PathBuf,
    usage: PathBuf,
}

/// Those that may be of a process whose file `cgroup` says this: `NUMBER:CONTROLLERS:PATH` for each hierarchy. One of
/// version 2 names no controllers, and is there beside those of version 1, without files.
fn limits_of(cgroup: &str) -> Vec<Limit> {
    let of = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        let (root, file, usage) = match controllers {
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
            "" => ("/sys/fs/cgroup", "memory.max", "memory.current"),
            _ => return None,
        };
        let folder = Path::new(root).join(path);
        Some(Limit { file: folder.join(file), usage: folder.join(usage) })
    };
    cgroup.lines().filter_map(of).collect()
}

/// The processes of a pod: the name of each one's control group has the pod's uid in it.
pub fn of_pod(pod: &Pod) -> Result<Vec<Process>> {
    let uid = pod.metadata.uid.as_deref().context("the pod has no uid")?;
    all(|folder| reads(&folder.join("cgroup")).contains(uid))
}

/// The processes of a component of the cluster that the tests run on: their first word is its program, and they are told
/// of a file in the cluster's folder.
pub fn of_cluster(component: &str) -> Result<Vec<Process>> {
    let kubeconfig = kubeconfig()?;
    let folder = kubeconfig.parent().and_then(Path::to_str).context("a kubeconfig without a folder")?;
    let is = |process: &Process| {
        let program = process.command.split(' ').next().unwrap_or_default();
        program.ends_with(&format!("/{component}")) && process.command.contains(folder)
    };
    let found: Vec<_> = all(|_| true)?.into_iter().filter(is).collect();
    ensure!(!found.is_empty(), "no process of {component} with a file in {folder} is on this machine");
    Ok(found)
}

/// All processes whose folder in `/proc` is as wanted.
fn all(wanted: impl Fn(&Path) -> bool) -> Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("list /proc")? {
        let folder = entry?.path();
        let number = folder.file_name().and_then(|name| name.to_str()?.parse().ok());
        // A process may end while it is looked at.
        if let Some(id) = number.and_then(Pid::from_raw)
            && wanted(&folder)
        {
            let program = reads(&folder.join("comm")).trim_end().to_owned();
            let command = reads(&folder.join("cmdline")).replace('\0', " ");
            let memory = reads(&folder.join("statm"));
            let pages = memory.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
            let started = started(&reads(&folder.join("stat")));
            found.push(Process { id, program, command, pages, started });
        }
    }
    Ok(found)
}

/// The 22nd field of a process's `stat`; the second is its name, in parentheses, with anything in it.
fn started(stat: &str) -> u64 {
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name.split(' ').nth(19).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

fn reads(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_process_stands_behind_its_name() {
        let rest: Vec<String> = (3..60).map(|field| field.to_string()).collect();
        assert_eq!(started(&format!("17 (a (b) c) {}", rest.join(" "))), 22);
        assert_eq!(started(""), 0);
    }

    #[test]
    fn a_process_is_there_as_long_as_its_number_is_its_own() {
        let own = Pid::from_raw(i32::try_from(std::process::id()).unwrap()).unwrap();
        let own = all(|_| true).unwrap().into_iter().find(|process| process.id == own).unwrap();
        assert!(is_there(&own));
        assert!(!is_there(&Process { started: own.started + 1, ..own }));
    }

    #[test]
    fn both_versions_of_control_groups_are_found() {
        let limit = |file: &str, usage: &str| Limit { file: file.into(), usage: usage.into() };
        assert_eq!(
            limits_of("4:memory:/kubepods/pod1/a:b\n3:cpu,cpuacct:/kubepods\n0::/kubepods/pod1\n"),
            [
                limit(
                    "/sys/fs/cgroup/memory/kubepods/pod1/a:b/memory.limit_in_bytes",
                    "/sys/fs/cgroup/memory/kubepods/pod1/a:b/memory.usage_in_bytes",
                ),
                limit(
                    "/sys/fs/cgroup/kubepods/pod1/memory.max",
                    "/sys/fs/cgroup/kubepods/pod1/memory.current",
                ),
            ]
        );
        assert_eq!(limits_of("nothing of the kind"), []);
    }
}
