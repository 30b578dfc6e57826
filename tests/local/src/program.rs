//! The program under test.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// The `scrapefleet` program that was built with this test.
pub fn scrapefleet() -> Result<PathBuf> {
    let test = std::env::current_exe().context("where is this test?")?;
    // target/debug/deps/test-hash -> target/debug/scrapefleet
    let folder = test.ancestors().nth(2).context("a test lies two folders deep")?;
    let program = folder.join("scrapefleet");
    ensure!(
        program.exists(),
        "{} is not built: run `cargo build -p scrapefleet-cli` first, or `cargo xtask test`, which does",
        program.display()
    );
    Ok(program)
}
