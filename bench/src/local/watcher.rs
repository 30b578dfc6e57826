//! How soon after its appearance on the list the watcher sees a battle.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use futures::TryStreamExt;
use jiff::Timestamp;
use scrapefleet_policy::{Clock, SystemClock};
use scrapefleet_queue::{TaskQueue, embedded};
use scrapefleet_test_site::ShowdownSite;

use super::{observer, run::Run};
use crate::{Bound, Figure, suite::Measured};

/// How long battles are watched.
const WATCHED: Duration = Duration::from_secs(90);

/// How long after that the watcher may still see them: a battle it has not seen by then counts as never seen.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// How long the watcher may take until it has the list.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// For a 99th percentile there must be at least so many battles.
const FEWEST: usize = 100;

/// The peer: the list at a fixed pace of one second.
const PLAIN: [&str; 3] =
    ["spec.watcher.refresh=1s", "spec.watcher.refreshMin=1s", "spec.watcher.refreshMax=1s"];

/// Measures the watcher as the manifest has it, then the peer.
pub(super) fn measure() -> Measured {
    Box::pin(async {
        let (ours, battles) = Box::pin(p99(&[])).await?;
        let (plain, _) = Box::pin(p99(&PLAIN)).await?;
        Ok(vec![
            Figure::new(
                format!("watcher sees a new battle after its appearance, 99th percentile of {battles}"),
                ours,
                "ms",
                Bound::AtMost(500.0),
            )
            .beside("a refresh every second", plain),
        ])
    })
}

/// The 99th percentile of the delays in milliseconds, and how many there were.
async fn p99(settings: &[&str]) -> Result<(f64, usize)> {
    // Most battles are given up at their first choice, so that some new ones appear every second.
    let site = ShowdownSite::builder().private_share(0.0).forfeit_share(0.9).start().await?;
    let run = Run::start(&site.url(), settings).await?;
    run.until("the list open", READY_WITHIN, |status| status["watcher"]["refreshes"].as_u64() > Some(5))
        .await?;
    let appeared = observer::observe(&site.websocket_url(), WATCHED).await?.at;
    tokio::time::sleep(AFTERWARDS).await;
    let folder = run.stop().await?;
    site.stop().await?;
    let seen = discoveries(&folder.path().join("queue.redb")).await?;
    ensure!(appeared.len() >= FEWEST, "only {} battles appeared within {WATCHED:?}", appeared.len());
    Ok((percentile(99, delays(&appeared, &seen)), appeared.len()))
}

/// When the watcher saw each battle, from the journal of its queue.
async fn discoveries(queue: &Path) -> Result<BTreeMap<String, Timestamp>> {
    let queue =
        embedded::open_read_only(queue, embedded::Options::new(Arc::new(|| SystemClock.now()))).await?;
    let entries: Vec<_> = queue.journal().await?.try_collect().await?;
    Ok(entries.into_iter().map(|entry| (entry.id.to_string(), entry.discovered_at)).collect())
}

/// The delay of each battle in milliseconds; infinite when it was never seen.
fn delays(appeared: &BTreeMap<String, Timestamp>, seen: &BTreeMap<String, Timestamp>) -> Vec<f64> {
    let delay = |(battle, appeared): (&String, &Timestamp)| {
        seen.get(battle).map_or(f64::INFINITY, |seen| seen.duration_since(*appeared).as_secs_f64() * 1000.0)
    };
    appeared.iter().map(delay).collect()
}

/// The nearest-rank percentile: so many in a hundred values are no larger.
fn percentile(percent: usize, mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    fn times(entries: &[(&str, i64)]) -> BTreeMap<String, Timestamp> {
        entries.iter().map(|(battle, millis)| ((*battle).to_owned(), at(*millis))).collect()
    }

    #[test]
    fn a_battle_that_was_never_seen_is_infinitely_late() {
        let appeared = times(&[("a", 1000), ("b", 2000)]);
        let seen = times(&[("a", 1250), ("c", 1)]);
        assert_eq!(delays(&appeared, &seen), [250.0, f64::INFINITY]);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        for (percent, value) in [(50, 50.0), (99, 99.0), (100, 100.0)] {
            assert!((percentile(percent, hundred.clone()) - value).abs() < 1e-9, "{percent}");
        }
        assert!((percentile(99, vec![7.0]) - 7.0).abs() < 1e-9);
        assert!(percentile(99, vec![]).is_nan());
    }
}
