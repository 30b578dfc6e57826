//! Processes of a cluster: starting one in its place, recording it, telling whether it is still that one.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use procfs::Current as _;
use procfs::net::TcpState;
use procfs::process::Process;
use serde::{Deserialize, Serialize};

use super::component::{Component, Serves};
use super::control_groups::Hierarchies;
use super::files;
use super::layout::{ClusterLayout, Place};
use super::wait;

/// The programs that components call are found here (runc, iptables, the shims of containerd).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a killed process may take to be gone.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// A started process, as it is recorded. The time it started tells it from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The process number.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub(crate) started: u64,
    /// What it was started as: see [`Component::fingerprint`].
    pub(crate) fingerprint: String,
}

impl Record {
    /// Whether this very process is still alive.
    pub(crate) fn is_alive(&self) -> bool {
        started(self.pid) == Some(self.started)
    }

    /// How long it has been running, in seconds.
    pub(crate) fn age(&self) -> Option<u64> {
        let up = procfs::Uptime::current().ok()?.uptime_duration().as_secs();
        Some(up.saturating_sub(self.started / procfs::ticks_per_second()))
    }
}

/// When the process of this number started, in ticks; none when there is none or it has ended.
fn started(pid: i32) -> Option<u64> {
    let stat = Process::new(pid).and_then(|process| process.stat()).ok()?;
    (stat.state != 'Z' && stat.state != 'X').then_some(stat.starttime)
}

/// The log of a component.
pub(crate) fn log_file(layout: &ClusterLayout, component: &str) -> PathBuf {
    layout.logs().join(format!("{component}.log"))
}

fn record_file(layout: &ClusterLayout, component: &str) -> PathBuf {
    layout.records().join(format!("{component}.json"))
}

/// What was recorded of a component, if anything.
pub(crate) fn recorded(layout: &ClusterLayout, component: &str) -> Option<Record> {
    let text = files::read(&record_file(layout, component)).ok()?;
    serde_json::from_str(&text).ok()
}

/// Forgets a component that was stopped on purpose.
pub(crate) fn forget(layout: &ClusterLayout, component: &str) -> Result<()> {
    files::remove(&record_file(layout, component))
}

/// Remembers that this process is the component.
pub(crate) fn record(layout: &ClusterLayout, component: &str, record: &Record) -> Result<()> {
    files::write(&record_file(layout, component), &serde_json::to_string(record)?)
}

/// Writes the files of a component, starts it in its namespace and control group, and records it.
pub(crate) fn start(
    layout: &ClusterLayout,
    groups: &Hierarchies,
    component: &Component,
    listener: Option<TcpListener>,
) -> Result<Record> {
    for file in &component.files {
        files::write(&file.path, &file.content)?;
    }
    let join = groups.make_for_component(&group(layout, component))?;
    let started =
        spawn(layout, component, &join, listener).with_context(|| format!("start {}", component.name))?;
    record(layout, &component.name, &started)?;
    Ok(started)
}

/// The control group a component is started in.
pub(crate) fn group(layout: &ClusterLayout, component: &Component) -> PathBuf {
    layout.place_group(component.place).join(&component.name)
}

/// Whether a component shows that it serves.
pub(crate) fn serves(component: &Component, record: &Record) -> bool {
    match &component.serves {
        Serves::AskTheCluster => true,
        Serves::Socket(path) => std::os::unix::net::UnixStream::connect(path).is_ok(),
        Serves::Port(port) => listens(record.pid, *port),
    }
}

fn spawn(
    layout: &ClusterLayout,
    component: &Component,
    join: &Path,
    listener: Option<TcpListener>,
) -> Result<Record> {
    files::make_folder(&layout.logs())?;
    let file = log_file(layout, &component.name);
    if file.exists() {
        std::fs::rename(&file, file.with_extension("previous.log"))?;
    }
    let log = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    // It joins its group before it becomes the program, so no process of a cluster is ever outside. Each step replaces
    // the one before it, so the process number stays.
    let child = Command::new("/bin/sh")
        .arg("-c")
        .arg(r#"echo $$ > "$0" && exec setsid nsenter "$@""#)
        .arg(join)
        .args(surroundings(layout, component.place))
        .arg("--")
        .arg(&component.program)
        .args(&component.arguments)
        .current_dir(&layout.root)
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", &layout.root)
        .stdin(listener.map_or_else(Stdio::null, |listener| OwnedFd::from(listener).into()))
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let pid = i32::try_from(child.id()).context("process number")?;
    let started = started(pid).with_context(|| format!("process {pid} ended as soon as it was started"))?;
    reap(child);
    Ok(Record { pid, started, fingerprint: component.fingerprint() })
}

/// The namespaces that what runs in a place is in, as arguments of `nsenter`.
fn surroundings(layout: &ClusterLayout, place: Place) -> Vec<String> {
    let network = format!("--net={}", layout.namespace(place).display());
    let mounts = layout.mounts(place).map(|file| format!("--mount={}", file.display()));
    [Some(network), mounts].into_iter().flatten().collect()
}

/// Takes note of a child's end, so that while this program runs an ended one does not look alive.
fn reap(mut child: std::process::Child) {
    std::thread::spawn(move || child.wait());
}

/// Whether this process runs this program.
pub(crate) fn runs(pid: i32, program: &Path) -> bool {
    let Ok(program) = program.canonicalize() else { return false };
    Process::new(pid).and_then(|process| process.exe()).is_ok_and(|running| running == program)
}

/// Kills a process and waits until it is gone.
pub(crate) fn kill(pid: i32) -> Result<()> {
    let Some(birth) = started(pid) else { return Ok(()) };
    if let Some(raw) = rustix::process::Pid::from_raw(pid) {
        // One that has ended meanwhile is what we want.
        let _ = rustix::process::kill_process(raw, rustix::process::Signal::KILL);
    }
    if wait::until(KILLED_WITHIN, || started(pid) != Some(birth)) {
        return Ok(());
    }
    bail!("process {pid} is still there {} s after it was killed", KILLED_WITHIN.as_secs())
}

/// Whether anything listens on this port in the network namespace of the process.
fn listens(pid: i32, port: u16) -> bool {
    let Ok(process) = Process::new(pid) else { return false };
    let tables = [process.tcp(), process.tcp6()];
    tables
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.state == TcpState::Listen && entry.local_address.port() == port)
}

#[cfg(test)]
impl Record {
    /// The record of the process that runs the tests.
    pub(crate) fn of_this_process(fingerprint: String) -> Self {
        let pid = i32::try_from(std::process::id()).unwrap();
        Self { pid, started: started(pid).unwrap(), fingerprint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_tells_its_process_from_another_with_the_same_number() {
        let own = Record::of_this_process(String::new());
        assert!(own.is_alive());
        assert!(!Record { started: own.started + 1, ..own }.is_alive());
    }

    #[test]
    fn an_ended_process_is_not_alive_even_before_it_is_reaped() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(super::super::wait::until(std::time::Duration::from_secs(10), || started(pid).is_none()));
        child.wait().unwrap();
    }

    #[test]
    fn a_listening_port_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(listens(pid, port));
        drop(listener);
        assert!(!listens(pid, port));
    }
}
