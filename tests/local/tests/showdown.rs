//! Against the real server: every public battle is stored once and equals the server's own log.

use std::time::Duration;

use anyhow::{Result, ensure};
use scrapefleet_local_tests::{
    Fleet, Scrape, say,
    truth::{self, Before},
};
use scrapefleet_test_site::{Client, ShowdownSite};

const BATTLES: u64 = 15;

async fn every_battle_is_stored_once(client: Client) -> Result<()> {
    let site = ShowdownSite::builder()
        .players(8)
        .choice_every(Duration::from_millis(700))
        .formats(&["gen9randombattle", "gen8randombattle"])
        .client(client)
        .start()
        .await?;
    let fleet = Fleet::showdown(&site.url(), "")?;
    let before = Before::rest(&site).await?;
    let run = Scrape::start(&fleet).await?;
    run.until("watching", Duration::from_mins(1), |s| s["watcher"]["state"] == "watching").await?;
    site.resume_players().await?;
    run.until("storing", Duration::from_mins(5), |s| s["totals"]["stored"].as_u64() >= Some(BATTLES)).await?;
    site.stop_players().await?;
    run.until_idle(Duration::from_mins(1)).await?;
    ensure!(run.interrupt().await?.success());

    let ledger = fleet.balanced_ledger().await?;
    let compared = truth::check(&fleet, &before.since(&site).await?).await?;
    say(&format!("{client:?}: {compared} battles equal the server's own, ledger {ledger}"));
    ensure!(compared as u64 >= BATTLES && ledger["dead"] == 0);
    ensure!(site.uploads().await? == 0, "a replay was published");
    site.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_battle_of_the_older_client_is_stored_once() -> Result<()> {
    every_battle_is_stored_once(Client::Old).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_battle_of_the_newer_client_is_stored_once() -> Result<()> {
    every_battle_is_stored_once(Client::New).await
}
