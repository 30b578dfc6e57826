//! An item that brings its page down each time ends as a dead letter after its attempts; the others lose nothing.

use std::time::Duration;

use anyhow::{Result, ensure};
use scrapefleet_local_tests::{
    Fleet, Scrape,
    rooms::{Room, Rooms},
    say, truth,
};
use tokio::time::Instant;

const GOOD: usize = 12;
const ATTEMPTS: u64 = 2;

async fn dies_alone(poison: Room) -> Result<()> {
    let site = Rooms::start().await?;
    for n in 0..GOOD {
        site.add(&format!("good{n}"), Room::Lasts(20_000));
    }
    let policies = format!("  policies: {{ retry: {{ attempts: {ATTEMPTS}, initial: 500ms }} }}\n");
    let fleet = Fleet::new(&site.manifest(&policies))?;
    let run = Scrape::start(&fleet).await?;
    let open =
        |s: &serde_json::Value| s["bots"][0]["holds"].as_array().is_some_and(|holds| holds.len() >= GOOD);
    run.until("holding all", Duration::from_mins(1), open).await?;
    site.add("poison", poison);
    let begun = Instant::now();
    let idle = |s: &serde_json::Value| {
        s["totals"]["dead"] == 1 && ["ready", "held", "delayed"].iter().all(|place| s["depth"][place] == 0)
    };
    run.until("done", Duration::from_mins(4), idle).await?;
    say(&format!("{poison:?}: a dead letter, and all others stored, after {:.1?}", begun.elapsed()));
    ensure!(run.interrupt().await?.success());

    let ledger = fleet.balanced_ledger().await?;
    ensure!(ledger["stored"] == GOOD && ledger["dead"] == 1, "{ledger}");
    for (item, artifact) in truth::artifacts(&fleet).await? {
        ensure!(artifact.bytes == format!("the end of room-{item}"), "{item}: {:?}", artifact.bytes);
    }
    let letters = fleet.dead_letters().await?;
    ensure!(letters.len() == 1 && letters[0]["item"] == "poison", "{letters:?}");
    ensure!(
        letters[0]["task"]["attempt"] == ATTEMPTS && letters[0]["failure"]["reason"] == "pageCrashed",
        "{letters:?}"
    );
    say(&format!("{poison:?}: {}", letters[0]["failure"]["message"]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_dies_alone() -> Result<()> {
    dies_alone(Room::Loops).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_dies_alone() -> Result<()> {
    dies_alone(Room::Crashes).await
}
