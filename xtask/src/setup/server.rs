//! The npm Showdown server in the cache.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use scrapefleet_test_site::packages;

use crate::phase::spoken;

/// When it takes longer than this it is being installed, not found, and a person wants to know.
const FOUND_WITHIN: Duration = Duration::from_millis(500);

/// Makes sure that the server is in the cache, and answers where.
pub(super) async fn ensure() -> Result<PathBuf> {
    let started = Instant::now();
    let mut install = tokio::task::spawn_blocking(packages::install);
    let (result, slow) = tokio::select! {
        result = &mut install => (result, false),
        () = tokio::time::sleep(FOUND_WITHIN) => {
            eprintln!("setup: install the npm Showdown server into the cache ...");
            (install.await, true)
        }
    };
    let folder = result.context("the installation of the Showdown server broke off")??;
    if slow {
        eprintln!(
            "setup: install the npm Showdown server into the cache: done in {}",
            spoken(started.elapsed())
        );
    }
    Ok(folder)
}
