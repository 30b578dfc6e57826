//! A deadlock: every thread of a process stands still but those that are named otherwise. A debugger does just that.

use std::{
    sync::mpsc::{self, Sender},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use nix::{
    sys::ptrace::{self, Options},
    unistd::Pid,
};
use scrapefleet_e2e::processes::Process;

/// How long it may take to stop all threads.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// A process whose threads stand still until this is dropped or it ends.
#[derive(Debug)]
pub(super) struct Deadlock {
    /// Disconnecting it ends the thread that is their debugger.
    _end: Sender<()>,
}

impl Deadlock {
    /// Stops every thread of a process whose name is not `spared`.
    pub(super) fn of(process: &Process, spared: &'static str) -> Result<Self> {
        let process = process.id.as_raw_nonzero().get();
        let (end, ended) = mpsc::channel();
        let (stopped, done) = mpsc::channel();
        // What a debugger has stopped goes on when the debugger's thread ends.
        thread::Builder::new().name("debugger".to_owned()).spawn(move || {
            // Nobody listens any more when this took too long.
            let _ = stopped.send(stop(process, spared));
            // Nothing is ever sent: this returns when the other end is dropped.
            let _ = ended.recv();
        })?;
        done.recv_timeout(STOPPED_WITHIN).map_err(|error| anyhow!("threads do not stop: {error}"))??;
        Ok(Self { _end: end })
    }
}

fn stop(process: i32, spared: &str) -> Result<()> {
    let folder = format!("/proc/{process}/task");
    for entry in std::fs::read_dir(&folder).with_context(|| format!("list {folder}"))? {
        let path = entry?.path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        let thread = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        if name.trim_end() == spared {
            continue;
        }
        let thread = Pid::from_raw(thread.with_context(|| format!("{} is no thread", path.display()))?);
        ptrace::seize(thread, Options::empty()).with_context(|| format!("seize {thread}"))?;
        ptrace::interrupt(thread).with_context(|| format!("stop {thread}"))?;
    }
    Ok(())
}
