//! The operator's program.

use std::{process::ExitCode, sync::Arc};

use clap::Parser as _;
use scrapefleet_operator::{options::Options, removal::NoRemoval, run};
use scrapefleet_telemetry::logging;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(error) = logging::init(options.log_format.into(), "info") {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    match Box::pin(run::run(options, Arc::new(NoRemoval))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
