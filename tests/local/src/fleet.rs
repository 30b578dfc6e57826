//! A fleet under test: a manifest and a data folder.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use scrapefleet_policy::within;
use scrapefleet_store::DirectoryStore;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{program::scrapefleet, scrape::tail};

/// How long a command that only reads may take.
const COMMAND: Duration = Duration::from_mins(1);

/// A fleet under test: a manifest and a data folder, which goes with it.
#[derive(Debug)]
pub struct Fleet {
    folder: TempDir,
}

/// What a command printed and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Fleet {
    /// A fleet with this manifest.
    pub fn new(manifest: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("scrapefleet-test-").tempdir()?;
        std::fs::write(folder.path().join("fleet.yaml"), manifest)?;
        Ok(Self { folder })
    }

    /// A fleet that scrapes battles from the Showdown site at `url`. `more` is added to its spec.
    pub fn showdown(url: &str, more: &str) -> Result<Self> {
        Self::new(&format!(
            "apiVersion: scrapefleet.io/v1alpha1
kind: ScrapeFleet
metadata: {{ name: showdown }}
spec:
  site: {{ preset: showdown, url: \"{url}\" }}
  queue: {{ embedded: {{}} }}
  store: {{ directory: {{}}, key: \"{{format}}/{{id}}.log\" }}
  politeness: {{ connectionsPerMinute: 600, actionsPerSecond: 20 }}
{more}"
        ))
    }

    /// Its manifest.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.folder.path().join("fleet.yaml")
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where the log of the run under test is written.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("run.log")
    }

    /// A command of the program on this fleet, as in `["dead", "list"]`.
    pub fn command(&self, words: &[&str]) -> Result<Command> {
        let mut command = Command::new(scrapefleet()?);
        command.args(words).arg("-f").arg(self.manifest()).arg("--data").arg(self.data());
        command.stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }

    /// Runs a command to its end.
    pub async fn output(&self, words: &[&str], more: &[&str]) -> Result<Output> {
        let run = self.command(words)?.args(more).output();
        let output = within(COMMAND, "command", run).await.with_context(|| format!("{words:?}"))??;
        Ok(Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The ledger, as `scrapefleet verify` computes it.
    pub async fn ledger(&self) -> Result<Value> {
        let output = self.output(&["verify"], &["--json"]).await?;
        serde_json::from_str(&output.stdout).with_context(|| format!("no ledger: {output:?}"))
    }

    /// The ledger, which must balance.
    pub async fn balanced_ledger(&self) -> Result<Value> {
        let ledger = self.ledger().await?;
        if ledger["balanced"] != true {
            bail!("the ledger does not balance: {ledger:#}\n{}", tail(&self.log()));
        }
        Ok(ledger)
    }

    /// Its dead letters.
    pub async fn dead_letters(&self) -> Result<Vec<Value>> {
        let output = self.output(&["dead", "list"], &["--json"]).await?;
        serde_json::from_str(&output.stdout).with_context(|| format!("no letters: {output:?}"))
    }

    /// Its store.
    pub async fn store(&self) -> Result<DirectoryStore> {
        Ok(DirectoryStore::open_read_only(self.data().join("artifacts")).await?)
    }

    /// A path inside the fleet's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}
