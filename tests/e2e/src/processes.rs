//! Processes inside pods, as this machine sees them: only where the nodes of the cluster are on this machine.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to every process of a pod whose program has this name, and answers how many there were.
pub fn signal(pod: &Pod, program: &str, signal: Signal) -> Result<usize> {
    let uid = pod.metadata.uid.as_deref().context("the pod has no uid")?;
    let found = of_pod(uid, program)?;
    ensure!(!found.is_empty(), "no process `{program}` of the pod with uid {uid} is on this machine");
    for process in &found {
        kill_process(*process, signal).with_context(|| format!("signal {program} ({process:?})"))?;
    }
    Ok(found.len())
}

/// The processes of the pod: the name of each one's control group has the pod's uid in it.
fn of_pod(uid: &str, program: &str) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("list /proc")? {
        let folder = entry?.path();
        let number = folder.file_name().and_then(|name| name.to_str()?.parse().ok());
        // A process may end while it is looked at.
        if let Some(pid) = number.and_then(Pid::from_raw)
            && reads(&folder.join("cgroup")).contains(uid)
            && reads(&folder.join("comm")).trim_end() == shortened(program)
        {
            found.push(pid);
        }
    }
    Ok(found)
}

fn reads(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

/// The kernel keeps the first 15 bytes of a program's name.
fn shortened(program: &str) -> &str {
    program.get(..15).unwrap_or(program)
}
