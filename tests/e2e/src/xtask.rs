//! The project's own tasks, run as their executable: a kill hits it, and it waits for no other build.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::LazyLock,
};

use anyhow::{Context, Result, anyhow, ensure};

/// Names the executable; what starts the tests says so.
const GIVEN: &str = "SCRAPEFLEET_XTASK";

/// The executable of `cargo xtask`: that which runs these tests, or else one that is built once.
pub fn xtask() -> Result<PathBuf> {
    static PROGRAM: LazyLock<Result<PathBuf>> =
        LazyLock::new(|| std::env::var_os(GIVEN).map_or_else(build, |given| Ok(given.into())));
    PROGRAM.as_ref().cloned().map_err(|error| anyhow!("{error:#}"))
}

fn build() -> Result<PathBuf> {
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "xtask", "--message-format=json"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .stdin(Stdio::null())
        .output()?;
    ensure!(built.status.success(), "cargo build: {}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8_lossy(&built.stdout);
    let objects = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let executables = objects.filter_map(|object| object["executable"].as_str().map(PathBuf::from));
    executables.reduce(|_, last| last).context("cargo named no executable")
}
