//! Building the cluster's programs and images while the tests that need no cluster run: those wait more than they work.

use std::{process::Stdio, time::Duration};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use scrapefleet_policy::within;
use tokio::process::{Child, Command};

use crate::project::Project;

/// How long the first build of everything may take beside all tests.
const WITHIN: Duration = Duration::from_hours(1);

/// `cargo xtask cluster prepare` at work, at the lowest priority. Dropped, it and everything that it has started end.
#[derive(Debug)]
pub(super) struct Preparation(Child);

impl Preparation {
    /// Starts it. What it says comes between what tests say, a line for each thing that takes long.
    pub(super) fn start(project: &Project) -> Result<Self> {
        let mut command = Command::new(&project.executable);
        command.args(["cluster", "prepare", "--beside"]).stdin(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    /// Waits for its end.
    pub(super) async fn finish(mut self) -> Result<()> {
        let status = within(WITHIN, "preparing the cluster", self.0.wait()).await??;
        if status.success() { Ok(()) } else { bail!("`cargo xtask cluster prepare` ended with {status}") }
    }
}

impl Drop for Preparation {
    fn drop(&mut self) {
        let group = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            // It may have ended by itself a moment ago.
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}
