//! The process that is the site: a group of its own, held by its standard input.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use crate::packages;

/// A cold machine under load: the server alone is given 60 s by the site's own script.
const READY_WITHIN: Duration = Duration::from_secs(90);
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// What the site says once it is ready.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ready {
    pub(super) port: u16,
    pub(super) control_port: u16,
    pub(super) server_port: u16,
}

/// The running process. It ends when it is dropped, and by itself when whoever holds it dies, because then its
/// standard input ends.
#[derive(Debug)]
pub(super) struct SiteProcess {
    child: Child,
    _lifeline: ChildStdin,
    /// None once it is known to be gone: its id may then be another's.
    group: Option<Pid>,
    folder: TempDir,
    pub(super) ready: Ready,
}

impl SiteProcess {
    /// Starts the site in `folder` and waits until it says that it is ready.
    pub(super) async fn start(arguments: &[String], folder: TempDir) -> Result<Self> {
        let log = folder.path().join("site.log");
        let mut child = Command::new("node")
            .arg(packages::scripts().join("site.mjs"))
            .args(arguments)
            .arg(format!("--folder={}", folder.path().display()))
            .arg("--until-stdin-ends=true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot run node; install Node.js 18 or later (Debian: apt-get install nodejs npm)")?;
        let group =
            child.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("node ended at once")?;
        let lifeline = child.stdin.take().context("no standard input")?;
        let ready = match Self::wait_ready(&mut child).await {
            Ok(ready) => ready,
            Err(error) => {
                kill(group);
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(error.context(format!("the site said: {}", said.trim())));
            }
        };
        Ok(Self { child, _lifeline: lifeline, group: Some(group), folder, ready })
    }

    async fn wait_ready(child: &mut Child) -> Result<Ready> {
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let line = tokio::select! {
            line = lines.next_line() => line?,
            () = tokio::time::sleep(READY_WITHIN) => bail!("not ready within {READY_WITHIN:?}"),
        };
        let line = line.context("it ended before it was ready")?;
        serde_json::from_str(&line).with_context(|| format!("instead of being ready it said {line}"))
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the whole group and waits until the site is gone.
    pub(super) async fn stop(mut self) -> Result<()> {
        if let Some(group) = self.group.take() {
            kill(group);
        }
        tokio::select! {
            gone = self.child.wait() => gone.map(drop).context("cannot wait for the site's end"),
            () = tokio::time::sleep(GONE_WITHIN) => bail!("the site was not gone within {GONE_WITHIN:?}"),
        }
    }
}

impl Drop for SiteProcess {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            kill(group);
        }
    }
}

/// Kills the site and all it started. An error means that the group is gone already.
fn kill(group: Pid) {
    let _ = kill_process_group(group, Signal::KILL);
}
