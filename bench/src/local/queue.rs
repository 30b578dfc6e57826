//! Speed of the embedded queue: confirmed publishes, and cycles of claim and ack.
//!
//! The files are beside the built program, not in a folder for temporary files: that is often in memory, where an
//! fsync costs nothing.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use scrapefleet_api::{FleetName, ItemId, LaneName};
use scrapefleet_policy::{Clock, SystemClock};
use scrapefleet_queue::{ConsumerOptions, Lane, Task, TaskQueue, embedded, task::SCHEMA_VERSION};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::peer;
use crate::{Bound, Figure, suite::Measured};

/// How many tasks a batch has: as many as the longest list of a site shows at once.
const BATCH: usize = 100;

/// How many batches are published at once.
const PUBLISHERS: usize = 4;

/// How many tasks are published, then claimed and acked.
const TASKS: usize = 100_000;

/// How many claims and acks are timed.
const CYCLES: usize = 20_000;

/// How many tasks one consumer holds, as a full bot does.
const HOLDS: usize = 50;

/// Measures both, one after the other on the same file.
pub(super) fn measure() -> Measured {
    Box::pin(async {
        let folder = on_disk()?;
        let queue = open(&folder.path().join("queue.redb")).await?;
        let published = publishes_per_second(&queue, TASKS).await?;
        let cycled = cycles_per_second(&queue, CYCLES).await?;
        queue.close().await?;
        let appended = peer::appends_per_second(&folder.path().join("peer.log"))?;
        let committed = peer::redb_cycles_per_second(&folder.path().join("peer.redb"))?;
        Ok(vec![
            Figure::new(
                format!("embedded queue, confirmed publishes in batches of {BATCH}"),
                published,
                "1/s",
                Bound::AtLeast(20_000.0),
            )
            .beside("a file, one fsync a task", appended),
            Figure::new(
                format!("embedded queue, cycles of claim and ack, {HOLDS} held at once"),
                cycled,
                "1/s",
                Bound::AtLeast(1_000.0),
            )
            .beside("redb, one commit a change", committed),
        ])
    })
}

/// A folder on the disk that the program was built on.
fn on_disk() -> Result<TempDir> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let folder = program.parent().unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix("bench-queue-")
        .tempdir_in(folder)
        .context("cannot make a folder for the queue")
}

async fn open(path: &Path) -> Result<embedded::Embedded> {
    let options = embedded::Options::new(Arc::new(|| SystemClock.now()));
    Ok(embedded::open(path, options).await?)
}

/// Publishes `count` tasks, [`PUBLISHERS`] batches at once; each counts once the queue has confirmed it.
async fn publishes_per_second(queue: &embedded::Embedded, count: usize) -> Result<f64> {
    let batches: Vec<_> = (0..count / BATCH).map(batch).collect::<Result<_>>()?;
    let mut shares = vec![Vec::new(); PUBLISHERS];
    for (number, batch) in batches.into_iter().enumerate() {
        shares[number % PUBLISHERS].push(batch);
    }
    let started = Instant::now();
    let mut publishers = JoinSet::new();
    for share in shares {
        publishers.spawn(publish(queue.clone(), share));
    }
    let mut published = 0;
    while let Some(share) = publishers.join_next().await {
        published += share??;
    }
    let seconds = started.elapsed().as_secs_f64();
    ensure!(published == count / BATCH * BATCH, "{published} of {count} tasks were confirmed as new");
    Ok(per_second(published, seconds))
}

async fn publish(queue: embedded::Embedded, batches: Vec<Vec<Task>>) -> Result<usize> {
    let mut published = 0;
    for batch in batches {
        published += queue.publish(batch).await?.new;
    }
    Ok(published)
}

/// Claims and acks `count` tasks: one consumer, up to [`HOLDS`] tasks held, each acked on its own.
async fn cycles_per_second(queue: &embedded::Embedded, count: usize) -> Result<f64> {
    let lanes = vec![Lane { name: lane()?, weight: 1 }];
    let options = ConsumerOptions { name: "bench".to_owned(), holds: HOLDS, lanes };
    let mut consumer = queue.consume(options).await?;
    let started = Instant::now();
    let mut acks = JoinSet::new();
    for _ in 0..count {
        let mut claim = consumer.next().await?;
        acks.spawn(async move { claim.ack().await });
    }
    while let Some(ack) = acks.join_next().await {
        ack??;
    }
    Ok(per_second(count, started.elapsed().as_secs_f64()))
}

fn batch(number: usize) -> Result<Vec<Task>> {
    (number * BATCH..(number + 1) * BATCH).map(task).collect()
}

/// A task as a watcher of battles publishes it.
fn task(number: usize) -> Result<Task> {
    let id = format!("battle-gen9randombattle-{number}");
    Ok(Task {
        schema_version: SCHEMA_VERSION,
        fleet: FleetName::new("bench")?,
        url: format!("https://play.pokemonshowdown.com/{id}"),
        id: ItemId::new(id)?,
        lane: lane()?,
        discovered_at: Timestamp::UNIX_EPOCH,
        attempt: 1,
        deadline: None,
        last_failure: None,
        extra: serde_json::Map::default(),
    })
}

fn lane() -> Result<LaneName> {
    Ok(LaneName::new("default")?)
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(super) fn per_second(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_publish_and_ack_that_is_timed_really_happens() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(&folder.path().join("queue.redb")).await.unwrap();
        assert!(publishes_per_second(&queue, 2 * BATCH).await.unwrap() > 0.0);
        assert_eq!(queue.depth().await.unwrap().ready, 2 * BATCH as u64);
        assert!(cycles_per_second(&queue, 150).await.unwrap() > 0.0);
        assert_eq!(queue.depth().await.unwrap().ready, 50);
        queue.close().await.unwrap();
    }

    #[tokio::test]
    async fn publishing_what_is_known_already_is_no_speed() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(&folder.path().join("queue.redb")).await.unwrap();
        publishes_per_second(&queue, BATCH).await.unwrap();
        let error = publishes_per_second(&queue, BATCH).await.unwrap_err().to_string();
        assert_eq!(error, "0 of 100 tasks were confirmed as new");
        queue.close().await.unwrap();
    }
}
