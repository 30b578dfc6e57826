//! The operator's program.

use std::{process::ExitCode, sync::Arc};

use clap::Parser as _;
use scrapefleet_operator::{
    options::{Arguments, Command, Options},
    probe::probe,
    removal::BrokerRemoval,
    run,
};
use scrapefleet_telemetry::logging;

#[tokio::main]
async fn main() -> ExitCode {
    let told = match Arguments::parse() {
        Arguments { command: Some(Command::Probe { url }), .. } => {
            probe(&url).await.map_err(|error| error.to_string())
        }
        Arguments { options: Some(options), .. } => return operate(options).await,
        Arguments { .. } => Err("nothing to do: see --help".to_owned()),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn operate(options: Options) -> ExitCode {
    if let Err(error) = logging::init(options.log_format.into(), logging::DEFAULT_FILTER) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    match Box::pin(run::run(options, Arc::new(BrokerRemoval))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
