//! The real `scrapefleet run`, watched from outside.

use std::{
    fs::{File, OpenOptions},
    path::Path,
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use scrapefleet_policy::within;
use serde_json::Value;
use tokio::{process::Child, time::Instant};

use crate::fleet::Fleet;

/// How long a run may take until it shows its status: opening the queue and the store.
const STARTS: Duration = Duration::from_secs(20);

/// How long an orderly end may take: the browsers' ends, and the storing of what has ended.
const ENDS: Duration = Duration::from_mins(1);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A run of the real program. Dropping it kills it.
#[derive(Debug)]
pub struct Scrape {
    child: Child,
    address: String,
    log: std::path::PathBuf,
    client: reqwest::Client,
}

impl Scrape {
    /// Starts a run of `fleet` and waits until it shows its status.
    pub async fn start(fleet: &Fleet) -> Result<Self> {
        Self::start_with(fleet, &[]).await
    }

    /// The same with more arguments.
    pub async fn start_with(fleet: &Fleet, more: &[&str]) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(fleet.log())?;
        let before = log.metadata()?.len();
        let mut command = fleet.command(&["run"])?;
        command.args(["--port", "0", "--progress", "plain"]).args(more);
        command.stdout(log.try_clone()?).stderr(File::from(std::os::fd::OwnedFd::from(log)));
        let mut child = command.spawn().context("cannot start scrapefleet")?;
        let address = address(&mut child, &fleet.log(), before).await?;
        Ok(Self { child, address, log: fleet.log(), client: reqwest::Client::new() })
    }

    /// The process id of the run.
    pub fn process_id(&self) -> Result<u32> {
        self.child.id().context("the run has ended")
    }

    /// What the run says of itself.
    pub async fn status(&self) -> Result<Value> {
        self.get("status").await?.json().await.context("the status is no JSON")
    }

    /// The answer of one of its endpoints.
    pub async fn get(&self, endpoint: &str) -> Result<reqwest::Response> {
        let url = format!("http://{}/{endpoint}", self.address);
        Ok(self.client.get(url).timeout(Duration::from_secs(5)).send().await?)
    }

    /// Waits until `condition` holds of the run's status; the error shows the last one and the end of the log.
    pub async fn until(
        &self,
        what: &str,
        limit: Duration,
        condition: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let end = Instant::now() + limit;
        loop {
            let status = self.status().await;
            match &status {
                Ok(status) if condition(status) => return Ok(status.clone()),
                _ if Instant::now() >= end => {
                    bail!("not {what} within {limit:?}: {status:#?}\n{}", tail(&self.log));
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Waits until the queue has nothing left to do: every discovered item is stored, gone or dead.
    pub async fn until_idle(&self, limit: Duration) -> Result<Value> {
        let nothing =
            |status: &Value| ["ready", "held", "delayed"].iter().all(|place| status["depth"][place] == 0);
        self.until("idle", limit, nothing).await
    }

    /// Kills the whole process at once and waits until it is gone.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("cannot kill the run")
    }

    /// Sends a signal to the run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.process_id()?).ok().and_then(Pid::from_raw).context("no process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Asks the run to end and waits until it has.
    pub async fn interrupt(mut self) -> Result<ExitStatus> {
        self.signal(Signal::INT)?;
        self.ended(ENDS).await
    }

    /// Waits until the run has ended by itself.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        match within(limit, "end of the run", self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(expired) => bail!("{expired}\n{}", tail(&self.log)),
        }
    }
}

/// Where the run shows its status, as it says itself.
async fn address(child: &mut Child, log: &Path, before: u64) -> Result<String> {
    let end = Instant::now() + STARTS;
    loop {
        let text = std::fs::read_to_string(log)?;
        let new = text.get(usize::try_from(before)?..).unwrap_or_default();
        if let Some((_, rest)) = new.split_once("status http://")
            && let Some((address, _)) = rest.split_once("/status")
        {
            return Ok(address.to_owned());
        }
        if let Some(status) = child.try_wait()? {
            bail!("the run ended with {status}\n{}", tail(log));
        }
        if Instant::now() >= end {
            bail!("no status within {STARTS:?}\n{}", tail(log));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The end of a log, for an error.
#[must_use]
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_else(|error| format!("no log: {error}"));
    let lines: Vec<_> = text.lines().collect();
    format!("the last lines of the run:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"))
}
