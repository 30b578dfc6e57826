//! The project's own tasks, run as their executable: a kill hits it, and it waits for no other build.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use scrapefleet_policy::within;

/// Names the executable; what starts the tests says so.
const GIVEN: &str = "SCRAPEFLEET_XTASK";

/// The folder of this checkout.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Runs `cargo xtask cluster` with these arguments, on this checkout's own cluster, and answers what it said.
pub async fn cluster(arguments: &[&str], limit: Duration) -> Result<String> {
    let mut command = tokio::process::Command::new(tokio::task::spawn_blocking(xtask).await??);
    command.arg("cluster").args(arguments).current_dir(CHECKOUT).stdin(Stdio::null()).kill_on_drop(true);
    let output = within(limit, "a command on the cluster", command.output()).await??;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "cluster {arguments:?}: {}\n{said}", output.status);
    Ok(said)
}

/// The executable of `cargo xtask`: that which runs these tests, or else one that is built once.
pub fn xtask() -> Result<PathBuf> {
    static PROGRAM: LazyLock<Result<PathBuf>> =
        LazyLock::new(|| std::env::var_os(GIVEN).map_or_else(build, |given| Ok(given.into())));
    PROGRAM.as_ref().cloned().map_err(|error| anyhow!("{error:#}"))
}

fn build() -> Result<PathBuf> {
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "xtask", "--message-format=json"])
        .current_dir(CHECKOUT)
        .stdin(Stdio::null())
        .output()?;
    ensure!(built.status.success(), "cargo build: {}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8_lossy(&built.stdout);
    let objects = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let executables = objects.filter_map(|object| object["executable"].as_str().map(PathBuf::from));
    executables.reduce(|_, last| last).context("cargo named no executable")
}
