//! The browser's processes, so that tests can do them harm. Only descendants of a run under test are touched.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use procfs::process::{Process, all_processes};
use rustix::process::{Pid, Signal, kill_process};

/// A process of a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: u32,
    /// Its command line.
    pub command: String,
}

/// What a process of a browser is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The WebDriver server.
    Driver,
    /// Chrome's main process.
    Chrome,
    /// A process that shows pages.
    Renderer,
}

/// All descendants of `root`, the nearest first.
pub fn descendants(root: u32) -> Result<Vec<Found>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for process in all_processes()?.flatten() {
        if let Ok(stat) = process.stat() {
            children.entry(stat.ppid).or_default().push(stat.pid);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![i32::try_from(root)?];
    while let Some(parent) = next.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            next.push(*child);
            if let Ok(command) = Process::new(*child).and_then(|process| process.cmdline()) {
                found.push(Found { id: u32::try_from(*child)?, command: command.join(" ") });
            }
        }
    }
    Ok(found)
}

/// Descendants of `root` of one kind.
pub fn of_kind(root: u32, kind: Kind) -> Result<Vec<u32>> {
    let is = |found: &&Found| {
        let command = &found.command;
        let (chrome, typed) = (command.contains("--user-data-dir="), command.contains("--type="));
        match kind {
            Kind::Driver => {
                command.contains("chromedriver")
                    && command.contains("--port=")
                    && !chrome
                    && !command.contains("browser-guard")
            }
            Kind::Chrome => chrome && !typed && !command.contains("browser-guard"),
            // Chrome has one more for itself.
            Kind::Renderer => command.contains("--type=renderer") && !command.contains("--top-chrome-webui"),
        }
    };
    Ok(descendants(root)?.iter().filter(is).map(|found| found.id).collect())
}

/// Sends a signal to a process, which must be there.
pub fn signal(process: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).context("no process id")?;
    kill_process(pid, signal).with_context(|| format!("cannot signal process {process}"))
}

/// Whether a process is there and no zombie.
#[must_use]
pub fn lives(process: u32) -> bool {
    let stat = i32::try_from(process).ok().and_then(|id| Process::new(id).ok()).and_then(|p| p.stat().ok());
    stat.is_some_and(|stat| stat.state != 'Z')
}
