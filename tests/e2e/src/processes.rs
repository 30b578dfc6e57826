//! Processes inside pods, as this machine sees them: only where the nodes of the cluster are on this machine.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use rustix::process::{Pid, Signal, kill_process};

use crate::space::kubeconfig;

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

/// Sends a signal to a process.
pub fn send(process: &Process, signal: Signal) -> Result<()> {
    kill_process(process.id, signal).with_context(|| format!("signal {} ({:?})", process.program, process.id))
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
}
