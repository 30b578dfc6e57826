//! kill -9 of the whole process at seeded random moments: nothing is lost, nothing is stored twice.

use std::time::Duration;

use anyhow::{Result, ensure};
use scrapefleet_local_tests::{Fleet, Scrape, processes, say, truth};
use scrapefleet_test_site::ShowdownSite;
use serde_json::Value;
use tokio::time::Instant;

const KILLS: u32 = 20;

/// The seed of the moments; another can be given to look for trouble.
fn seed() -> u64 {
    std::env::var("SCRAPEFLEET_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7)
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_lose_and_double_nothing() -> Result<()> {
    let site = ShowdownSite::builder().players(8).choice_every(Duration::from_millis(600)).start().await?;
    let fleet = Fleet::showdown(&site.url(), "")?;
    let (seed, mut rng) = (seed(), fastrand::Rng::with_seed(seed()));
    say(&format!("seed {seed}"));
    let mut slowest = Duration::ZERO;
    for kill in 1..=KILLS {
        let begun = Instant::now();
        let run = Scrape::start(&fleet).await?;
        if kill % 2 == 0 {
            // Every other moment counts from there: where everything is slow, the rest all fall into the start.
            let holds = |status: &Value| status["depth"]["held"].as_u64() > Some(0);
            run.until("holding a battle", Duration::from_mins(1), holds).await?;
            slowest = slowest.max(begun.elapsed());
        }
        let lifetime = Duration::from_millis(rng.u64(50..6_000));
        // The moment is the test: it is drawn, not waited for.
        tokio::time::sleep(lifetime).await;
        let tree = processes::descendants(run.process_id()?)?;
        run.kill().await?;
        let left = all_gone(&tree, Duration::from_secs(5)).await;
        ensure!(left.is_empty(), "kill {kill} after {lifetime:?} left {left:?}");
    }
    site.stop_players().await?;
    let run = Scrape::start(&fleet).await?;
    run.until("holding none", Duration::from_mins(2), |s| {
        s["watcher"]["discovered"].is_u64() && ["ready", "held", "delayed"].iter().all(|p| s["depth"][p] == 0)
    })
    .await?;
    ensure!(run.interrupt().await?.success());

    let ledger = fleet.balanced_ledger().await?;
    let stored = truth::artifacts(&fleet).await?;
    let compared = truth::check_stored(&fleet, site.battles_logged().await?).await?;
    say(&format!("{KILLS} kills: a new run holds a battle {slowest:.1?} after its start at most"));
    say(&format!("{compared} battles equal the server's own, ledger {ledger}"));
    ensure!(ledger["stored"].as_u64() == Some(stored.len() as u64) && ledger["dead"] == 0 && compared > 0);
    site.stop().await
}

/// Waits until none of `tree` lives; what still does after `limit` is answered.
async fn all_gone(tree: &[processes::Found], limit: Duration) -> Vec<processes::Found> {
    let end = Instant::now() + limit;
    loop {
        let left: Vec<_> = tree.iter().filter(|process| processes::lives(process.id)).cloned().collect();
        if left.is_empty() || Instant::now() >= end {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
