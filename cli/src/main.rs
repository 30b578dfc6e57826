//! The scrapefleet command.

use std::process::ExitCode;

use clap::Parser as _;
use scrapefleet_cli::{
    CliError,
    args::{Cli, Command, LogFormat},
    check, dead, pod, postmortems,
    run::{self, Display},
    verify,
};
use scrapefleet_telemetry::logging;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::BrowserGuard { args } = cli.command {
        return scrapefleet_browser::guard::main(args);
    }
    match execute(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(error.downcast_ref().map_or(1, CliError::exit_code))
        }
    }
}

#[tokio::main]
async fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    let format = match cli.log_format {
        LogFormat::Text => logging::Format::Text,
        LogFormat::Json => logging::Format::Json,
    };
    match cli.command {
        Command::Run(args) => {
            let display = Display::new(args.progress);
            logging::init_to(display.log_writer(), format, logging::DEFAULT_FILTER)?;
            run::run(&args, display).await?;
        }
        Command::Verify(args) => verify::verify(&args).await?,
        Command::Dead(args) => dead::dead(args.command).await?,
        Command::PostMortems(args) => postmortems::post_mortems(args.command).await?,
        Command::Check(args) => check::check(&args)?,
        Command::Bot(args) => {
            logging::init(format, logging::DEFAULT_FILTER)?;
            return Ok(pod::bot(&args).await.code.into());
        }
        Command::Watcher(args) => {
            logging::init(format, logging::DEFAULT_FILTER)?;
            return Ok(pod::watcher(&args).await.code.into());
        }
        Command::BrowserGuard { .. } => unreachable!("handled before the runtime starts"),
    }
    Ok(ExitCode::SUCCESS)
}
