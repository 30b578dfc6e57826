//! A run of the real `scrapefleet` program, watched from outside.

use std::{fs::File, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use scrapefleet_policy::{Instant, within};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The manifest of every run, under the root of the project.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/showdown.yaml");

/// How long a run may take until it says where its status is, and how long its orderly end may take.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
const ENDS_WITHIN: Duration = Duration::from_mins(1);

/// How long an answer of its port may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A run of the real program with a data folder of its own; dropping it kills the one and removes the other.
#[derive(Debug)]
pub(super) struct Run {
    child: Child,
    status: String,
    client: reqwest::Client,
    folder: TempDir,
}

impl Run {
    /// Starts to scrape the site at `url`. `settings` are added to the manifest, as in `spec.bots.holdsPerBot=50`.
    pub(super) async fn start(url: &str, settings: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("scrapefleet-bench-").tempdir()?;
        let log = File::create(log_in(folder.path()))?;
        let mut command = Command::new(program()?);
        command
            .args(["run", "-f", MANIFEST, "--port", "0", "--progress", "plain", "--data"])
            .arg(folder.path());
        command.arg("--set").arg(format!("spec.site.url={url}"));
        for setting in settings {
            command.args(["--set", setting]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().context("scrapefleet cannot be started")?;
        let status = status_url(&mut child, &log_in(folder.path())).await?;
        Ok(Self { child, status, client: reqwest::Client::new(), folder })
    }

    /// The folder of its data.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The id of its process.
    pub(super) fn process_id(&self) -> Result<i32> {
        Ok(self.child.id().context("the run has ended")?.cast_signed())
    }

    /// Waits until its status fulfils `condition`.
    pub(super) async fn until(
        &self,
        what: &str,
        limit: Duration,
        condition: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            let status = self.client.get(&self.status).timeout(ANSWERS_WITHIN).send().await?.json().await?;
            if condition(&status) {
                return Ok(());
            }
            if Instant::now() >= end {
                bail!("not {what} within {limit:?}; {}", said(&log_in(self.folder())));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Asks it to end, waits until it has, and answers the folder of its data.
    pub(super) async fn stop(mut self) -> Result<TempDir> {
        let process = Pid::from_raw(self.process_id()?).context("no process id")?;
        kill_process(process, Signal::INT).context("the run cannot be interrupted")?;
        let status = within(ENDS_WITHIN, "the end of a run", self.child.wait()).await??;
        if !status.success() {
            bail!("the run ended with {status}; {}", said(&log_in(self.folder())));
        }
        Ok(self.folder)
    }
}

/// The program that was built together with this one.
fn program() -> Result<std::path::PathBuf> {
    let program = std::env::current_exe()?.with_file_name("scrapefleet");
    if !program.exists() {
        bail!("{} is not built; `cargo xtask bench` builds it", program.display());
    }
    Ok(program)
}

fn log_in(folder: &Path) -> std::path::PathBuf {
    folder.join("run.log")
}

/// Where the run shows its status, as its own log says.
async fn status_url(child: &mut Child, log: &Path) -> Result<String> {
    let end = Instant::now() + STARTS_WITHIN;
    loop {
        if let Some(url) = status_url_in(&std::fs::read_to_string(log)?) {
            return Ok(url);
        }
        if let Some(status) = child.try_wait()? {
            bail!("the run ended with {status}; {}", said(log));
        }
        if Instant::now() >= end {
            bail!("the run did not say where its status is within {STARTS_WITHIN:?}; {}", said(log));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn status_url_in(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("status http://")?;
    let (address, _) = rest.split_once("/status")?;
    Some(format!("http://{address}/status"))
}

/// The last lines of a log, for an error.
fn said(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_else(|error| error.to_string());
    let lines: Vec<_> = text.lines().collect();
    format!("it said:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_where_the_log_says() {
        let log = "showdown: http://127.0.0.1:1/, queue /q, status http://127.0.0.1:39147/status\nmore";
        assert_eq!(status_url_in(log).as_deref(), Some("http://127.0.0.1:39147/status"));
        assert_eq!(status_url_in("showdown: http://127.0.0.1:1/, status http://127"), None);
    }

    #[test]
    fn the_manifest_is_there() {
        assert!(Path::new(MANIFEST).exists(), "{MANIFEST}");
    }
}
