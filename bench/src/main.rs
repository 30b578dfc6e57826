//! Benches of the project, each figure beside its bound; `cargo xtask bench` builds and calls it.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use scrapefleet_bench::{Measurement, local, suite};

/// Measures, prints each figure beside its bound, and fails when a bound does not hold.
#[derive(Debug, Parser)]
#[command(name = "scrapefleet-bench", version)]
struct Arguments {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(Debug, Subcommand)]
enum Suite {
    /// The local run: memory of a full bot, delay of the watcher, speed of the embedded queue
    Local(Choice),
}

#[derive(Debug, Args)]
struct Choice {
    /// Also write the figures here, as a JSON list
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Only the measurements whose name contains this (may be given several times)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Suite::Local(choice) = Arguments::parse().suite;
    match run(local::MEASUREMENTS, &choice).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(all: &[Measurement], choice: &Choice) -> Result<bool> {
    let outcome = suite::run(&suite::choose(all, &choice.only)?).await;
    print!("{}", outcome.report.table());
    if let Some(path) = &choice.report {
        outcome.report.write(path)?;
    }
    for failure in &outcome.failures {
        eprintln!("not measured: {failure}");
    }
    Ok(outcome.holds())
}
