//! The `demo` task: the whole job on real battles, on this machine, checked from outside.
//!
//! set up -> build -> start the real server with its players -> scrape -> verify the ledger -> compare every log
//! with the server's own -> say what was found. Whatever was started is stopped, however the demo ends.

mod folder;
mod report;
mod scrape;
mod signals;
mod truth;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use scrapefleet_test_site::{Client, ShowdownSite};

use crate::{
    arguments::{DemoArguments, Generation},
    phase::{Phases, spoken},
    process,
    project::Project,
    setup,
};
use report::{Ledger, Outcome, RunReport};
use scrape::Scrape;
use signals::{Cause, Ended, Signals};

/// Where the data of a demo is unless a person says otherwise, under the root of the project.
const DATA: &str = "data/demo";

/// The exit code of a program that a person interrupted, by the custom of shells.
const INTERRUPTED: u8 = 130;

/// Does it all.
pub(crate) async fn run(project: &Project, arguments: &DemoArguments) -> Result<ExitCode> {
    let mut phases = Phases::start("demo");
    let data = folder::fresh(&data_folder(project, arguments), arguments.keep)?;
    phases.run("setup", setup::ensure()).await?;
    // Not for release: this program was built the same way, so most of the work is done, and nothing here waits
    // for the processor but Chrome.
    let build = project.cargo(&["build", "--package", "scrapefleet-cli", "--bin", "scrapefleet"]);
    phases.run("build", process::show(build)).await?;
    let site = phases.run("start the server", start_site(arguments)).await?;
    let scrape = Scrape::new(project, &site.url(), &data, arguments.battles);
    let mut signals = Signals::watch().context("signals cannot be watched")?;
    let ended = phases.run("scrape", signals.run(scrape.run(), limit(arguments.battles))).await?;
    let outcome = phases.run("verify", check(&scrape, &site, &data, arguments)).await;
    site.stop().await?;
    let outcome = outcome.with_context(|| format!("the scrape {}", told(ended)))?;
    conclude(&outcome, ended, &data, arguments, &phases)
}

/// Never relative: the programs of a demo run in the folder of the project.
fn data_folder(project: &Project, arguments: &DemoArguments) -> PathBuf {
    let wanted = arguments.data.clone().unwrap_or_else(|| project.root.join(DATA));
    std::path::absolute(&wanted).unwrap_or(wanted)
}

async fn start_site(arguments: &DemoArguments) -> Result<ShowdownSite> {
    let client = match arguments.client {
        Generation::Old => Client::Old,
        Generation::New => Client::New,
    };
    ShowdownSite::builder().client(client).seed(arguments.seed).start().await
}

/// How long the scrape may take before it is stopped. The players finish about twelve battles a minute; a slow machine
/// is given six times as long, and a start.
fn limit(battles: u64) -> Duration {
    Duration::from_mins(5)
        + Duration::from_secs(30).saturating_mul(u32::try_from(battles).unwrap_or(u32::MAX))
}

async fn check(
    scrape: &Scrape,
    site: &ShowdownSite,
    data: &Path,
    arguments: &DemoArguments,
) -> Result<Outcome> {
    let ledger = Ledger::read(&scrape.verify().await?)?;
    let stored = truth::stored_logs(&data.join(scrape::STORE)).await?;
    let server = truth::server_logs(site, &stored).await?;
    let comparison = truth::compare(&stored, &server);
    let run = RunReport::read(&scrape.report)?;
    Ok(Outcome { wanted: arguments.battles, seed: arguments.seed, run, ledger, comparison })
}

/// Says what was found, and decides how the demo ends.
fn conclude(
    outcome: &Outcome,
    ended: Ended,
    data: &Path,
    arguments: &DemoArguments,
    phases: &Phases,
) -> Result<ExitCode> {
    println!("\n{outcome}");
    println!("stored logs   {}", data.join(scrape::STORE).display());
    if !outcome.comparison.mismatches.is_empty() {
        let folder = data.join("mismatches");
        truth::write(&outcome.comparison.mismatches, &folder)?;
        println!("mismatches    {}", folder.display());
    }
    if let Some(path) = &arguments.report {
        outcome.write(path)?;
        println!("report        {}", path.display());
    }
    println!();
    let mut complaints = outcome.complaints();
    if ended.cause != Cause::Itself || !ended.status.success() {
        complaints.push(format!("the scrape {}", told(ended)));
    }
    if complaints.is_empty() {
        println!("The demo succeeded, in {}.", phases.summary());
        return Ok(ExitCode::SUCCESS);
    }
    println!("The demo FAILED after {}: {}.", spoken(phases.elapsed()), complaints.join("; "));
    Ok(if ended.cause == Cause::Interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE })
}

/// How the scrape ended, after "the scrape".
fn told(ended: Ended) -> String {
    let why = match ended.cause {
        Cause::Itself => "",
        Cause::Interrupted => "was interrupted and ",
        Cause::Overdue => "took too long, was stopped and ",
    };
    format!("{why}ended with {}", ended.status)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

    use super::*;

    #[test]
    fn more_battles_may_take_longer_and_no_number_overflows() {
        assert!(limit(1) < limit(25));
        assert!(limit(u64::MAX) > limit(1_000_000));
    }

    #[test]
    fn how_the_scrape_ended_reads_well() {
        let status = ExitStatus::from_raw(0);
        for (cause, text) in [
            (Cause::Itself, "ended with exit status: 0"),
            (Cause::Interrupted, "was interrupted and ended with exit status: 0"),
            (Cause::Overdue, "took too long, was stopped and ended with exit status: 0"),
        ] {
            assert_eq!(told(Ended { status, cause }), text);
        }
    }
}
