//! The demo on this machine.
//!
//! set up -> build -> start the real server with its players -> scrape -> verify the ledger -> compare every log
//! with the server's own -> say what was found.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result};
use scrapefleet_test_site::{Client, ShowdownSite};

use super::{
    Found, conclude, data_folder, folder, limit,
    report::{Ledger, Outcome, RunReport},
    scrape::{self, Scrape},
    signals::{Cause, Ended, Signals},
    truth,
};
use crate::{
    arguments::{DemoArguments, Generation},
    phase::Phases,
    process,
    project::Project,
    setup,
};

/// Where the data of a demo is unless a person says otherwise, under the root of the project.
const DATA: &str = "data/demo";

/// Does it all.
pub(super) async fn run(project: &Project, arguments: &DemoArguments) -> Result<ExitCode> {
    let mut phases = Phases::start("demo");
    let data = folder::fresh(&data_folder(project, arguments, DATA), arguments.keep)?;
    phases.run("setup", setup::ensure()).await?;
    phases.run("build", process::show(scrape::build(project))).await?;
    let site = phases.run("start the server", start_site(arguments)).await?;
    let scrape = Scrape::new(project, &site.url(), &data, arguments.battles);
    let mut signals = Signals::watch().context("signals cannot be watched")?;
    let ended = phases.run("scrape", signals.run(scrape.run(), limit(arguments.battles))).await?;
    let outcome = phases.run("verify", check(&scrape, &site, &data, arguments)).await;
    site.stop().await?;
    let outcome = outcome.with_context(|| format!("the scrape {}", told(ended)))?;
    let found = Found {
        outcome,
        logs: data.join(scrape::STORE),
        wrong: complaint(ended).into_iter().collect(),
        interrupted: ended.cause == Cause::Interrupted,
    };
    conclude(&found, &data, arguments, &phases)
}

async fn start_site(arguments: &DemoArguments) -> Result<ShowdownSite> {
    let client = match arguments.client {
        Generation::Old => Client::Old,
        Generation::New => Client::New,
    };
    ShowdownSite::builder().client(client).seed(arguments.seed).start().await
}

async fn check(
    scrape: &Scrape,
    site: &ShowdownSite,
    data: &Path,
    arguments: &DemoArguments,
) -> Result<Outcome> {
    let ledger = Ledger::read(&scrape::ledger(scrape.verify()).await?)?;
    let stored = truth::logs_in(&data.join(scrape::STORE)).await?;
    let server = truth::server_logs(|| site.battles_logged(), &stored).await?;
    let comparison = truth::compare(&stored, &server);
    let run = RunReport::read(&scrape.report)?;
    Ok(Outcome { wanted: arguments.battles, seed: Some(arguments.seed), run, ledger, comparison })
}

/// What is wrong with how the scrape ended.
fn complaint(ended: Ended) -> Option<String> {
    let wrong = ended.cause != Cause::Itself || !ended.status.success();
    wrong.then(|| format!("the scrape {}", told(ended)))
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

    #[test]
    fn only_a_scrape_that_ends_well_by_itself_is_right() {
        let ended = |code: i32, cause| Ended { status: ExitStatus::from_raw(code << 8), cause };
        assert_eq!(complaint(ended(0, Cause::Itself)), None);
        assert!(complaint(ended(0, Cause::Interrupted)).is_some());
        assert!(complaint(ended(1, Cause::Itself)).unwrap().contains("exit status: 1"));
    }
}
