//! The `scrapefleet-chaos` program: `cargo xtask chaos` starts a cluster, if there is none, and calls it.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use scrapefleet_chaos::{
    Scenario,
    report::Report,
    ring::{self, Programme, Run},
    schedule,
};
use scrapefleet_e2e::in_namespace;
use tokio_util::sync::CancellationToken;

/// Do faults to a fleet at work on the cluster that `SCRAPEFLEET_E2E_KUBECONFIG` names, and account for every battle
///
/// Fails unless nothing is lost, nothing is doubled, every artifact equals the server's own log, and no pod was replaced that no
/// fault struck. Bounds that do not hold are told, and fail the command unless --no-bounds is given.
#[derive(Debug, Parser)]
#[command(name = "scrapefleet-chaos", version, max_term_width = 110)]
struct Arguments {
    /// Random faults for so many minutes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=600))]
    minutes: Option<u64>,
    /// Seed of the random faults and of whom they strike: the same seed gives the same schedule
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Only this fault (may be given several times; also what random faults are chosen from)
    #[arg(long = "scenario", value_name = "NAME", value_parser = Scenario::of_name)]
    scenarios: Vec<Scenario>,
    /// Each fault so many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    repeat: u64,
    /// Every fault there is, one after the other
    #[arg(long, conflicts_with_all = ["scenarios", "minutes"])]
    all: bool,
    /// Write what was found here, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Do not fail for what took too long
    #[arg(long)]
    no_bounds: bool,
    /// Show the faults there are
    #[arg(long)]
    list: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for scenario in Scenario::ALL {
            println!("{:<24} {}", scenario.name(), scenario.does());
        }
        return ExitCode::SUCCESS;
    }
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<bool> {
    let run = Run { programme: programme(arguments)?, seed: arguments.seed, brief: false };
    let stop = CancellationToken::new();
    let pressed = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("chaos: ending early; what was harmed is mended and everything accounted for");
            pressed.cancel();
        }
    });
    let mut report = None;
    in_namespace("chaos", async |space| {
        report = Some(ring::run(&space, &run, &stop).await?);
        Ok(())
    })
    .await?;
    finish(arguments, &report.context("the run gave no report")?)
}

fn programme(arguments: &Arguments) -> Result<Programme> {
    let chosen = if arguments.all { Scenario::ALL.to_vec() } else { arguments.scenarios.clone() };
    if let Some(minutes) = arguments.minutes {
        let among = if chosen.is_empty() { Scenario::ALL.to_vec() } else { chosen };
        let length = Duration::from_mins(minutes);
        return Ok(Programme::At(schedule::random(arguments.seed, length, &among), length));
    }
    if chosen.is_empty() {
        return Err(anyhow!(
            "say what to do: --minutes N, --scenario NAME, or --all; --list shows the faults"
        ));
    }
    let repeated = |scenario| std::iter::repeat_n(scenario, usize::try_from(arguments.repeat).unwrap_or(1));
    Ok(Programme::Each(chosen.into_iter().flat_map(repeated).collect()))
}

fn finish(arguments: &Arguments, report: &Report) -> Result<bool> {
    if let Some(path) = &arguments.report {
        report.write(path)?;
    }
    println!("{}", report.text());
    if !report.is_clean() {
        eprintln!("chaos: FAILED");
        return Ok(false);
    }
    if !report.bounds_hold() {
        eprintln!("chaos: nothing was lost, but not every bound holds");
        return Ok(arguments.no_bounds);
    }
    eprintln!("chaos: nothing lost, nothing doubled, every bound holds");
    Ok(true)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parsed(words: &[&str]) -> Arguments {
        Arguments::try_parse_from([&["chaos"], words].concat()).unwrap()
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn one_fault_is_repeated_and_random_ones_fill_the_time() {
        let each = programme(&parsed(&["--scenario", "hung-chrome", "--repeat", "3"])).unwrap();
        assert!(matches!(each, Programme::Each(faults) if faults == [Scenario::HungChrome; 3]));
        let random = programme(&parsed(&["--minutes", "20", "--scenario", "dead-bot"])).unwrap();
        let Programme::At(faults, length) = random else { panic!("not random") };
        assert_eq!(length, Duration::from_mins(20));
        assert!(faults.len() > 5 && faults.iter().all(|(_, fault)| *fault == Scenario::DeadBot));
        assert!(programme(&parsed(&[])).unwrap_err().to_string().contains("--list"));
    }
}
