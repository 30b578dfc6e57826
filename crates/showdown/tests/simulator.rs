//! What is read from a log equals what the simulator itself says of the battle.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use scrapefleet_api::inspect::Completeness;
use scrapefleet_showdown::log::{Summary, compare, completeness};
use scrapefleet_test_site::packages;
use serde::Deserialize;

const BATTLES: usize = 36;

/// A battle as the simulator tells it.
#[derive(Deserialize)]
struct Battle {
    format: String,
    log: String,
    winner: Option<String>,
    turns: u32,
}

fn fight() -> Result<Vec<Battle>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulator/generate.cjs");
    let output = Command::new("node")
        .arg(script)
        .arg(packages::install()?)
        .args([&BATTLES.to_string(), "11"])
        .output()
        .context("cannot run node")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[test]
fn logs_say_what_the_simulator_says() -> Result<()> {
    let battles = fight()?;
    ensure!(battles.len() == BATTLES);
    ensure!(battles.iter().any(|battle| battle.winner.is_none()), "no tie among them");
    for battle in &battles {
        let summary = Summary::of(&battle.log);
        ensure!(summary.winner() == battle.winner.as_deref(), "{}: {:?}", battle.format, summary.end);
        ensure!(summary.turns == battle.turns, "{}: {} turns", battle.format, summary.turns);
        ensure!(
            completeness(&battle.log) == Completeness::Complete,
            "{}: {:?}",
            battle.format,
            completeness(&battle.log)
        );
        no_beginning_is_complete(&battle.log)?;
    }
    let (first, second) = (&battles[0].log, &battles[1].log);
    ensure!(compare(first, first).is_ok() && compare(first, second).is_err());
    Ok(())
}

/// A log that lacks its last line that counts is not whole, wherever it was cut.
fn no_beginning_is_complete(log: &str) -> Result<()> {
    let log = log.trim_end();
    for (end, _) in log.match_indices('\n') {
        let part = &log[..end];
        ensure!(completeness(part) != Completeness::Complete, "complete at byte {end} of {}", log.len());
    }
    Ok(())
}
