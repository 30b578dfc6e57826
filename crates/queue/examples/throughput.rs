//! How fast the embedded queue is on this machine's disk: one JSON line for each figure.
//!
//! `cargo run --release -p scrapefleet-queue --example throughput [FOLDER]`

use std::{path::PathBuf, sync::Arc};

use futures::{StreamExt, stream};
use scrapefleet_api::LaneName;
use scrapefleet_policy::{Clock, Instant, SystemClock};
use scrapefleet_queue::{
    ConsumerOptions, Lane, QueueError, Task, TaskQueue,
    embedded::{self, Embedded, Options},
};

/// Tasks of a batch, as a watcher publishes them when it takes over.
const BATCH: u32 = 500;
const BATCHES: u32 = 200;
/// Callers who publish at the same time.
const PUBLISHERS: usize = 4;
/// Holds of each bot, and bots.
const HOLDS: usize = 50;
const BOTS: u32 = 2;
const CYCLES: u32 = BATCH * BATCHES;

#[tokio::main]
async fn main() -> Result<(), QueueError> {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join(format!("throughput-{}.redb", std::process::id()));
    let measured = measure(&path).await;
    if let Err(e) = std::fs::remove_file(&path) {
        eprintln!("`{}` is left behind: {e}", path.display());
    }
    measured
}

async fn measure(path: &std::path::Path) -> Result<(), QueueError> {
    let options = || Options::new(Arc::new(|| SystemClock.now()));
    let queue = embedded::open(path, options()).await?;
    say("publish_confirmed", publish(&queue).await?, "tasks/s");
    say("claim_ack", claim_ack(&queue).await?, "cycles/s");
    queue.close().await?;
    let start = Instant::now();
    let queue = embedded::open(path, options()).await?;
    say("open", start.elapsed().as_secs_f64(), "s");
    // All tasks are finished and the file was compacted: what is left is the journal.
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    say("journal", f64::from(size) / f64::from(BATCH * BATCHES), "bytes/item");
    queue.close().await
}

fn say(name: &str, value: f64, unit: &str) {
    println!("{}", serde_json::json!({ "name": name, "value": value, "unit": unit }));
}

fn task(number: u32) -> Task {
    let at = SystemClock.now();
    Task {
        schema_version: scrapefleet_queue::task::SCHEMA_VERSION,
        fleet: name("showdown"),
        id: name(&format!("battle-gen9randombattle-{number}")),
        url: format!("http://127.0.0.1:8000/battle-gen9randombattle-{number}"),
        lane: name("default"),
        discovered_at: at,
        attempt: 1,
        deadline: None,
        last_failure: None,
        extra: serde_json::Map::default(),
    }
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    #[expect(clippy::unwrap_used)] // cannot fail: the names above are right
    text.parse().unwrap()
}

/// Confirmed publishes a second, in batches.
async fn publish(queue: &Embedded) -> Result<f64, QueueError> {
    let batches: Vec<Vec<Task>> =
        (0..BATCHES).map(|b| (b * BATCH..(b + 1) * BATCH).map(task).collect()).collect();
    let start = Instant::now();
    let mut done = stream::iter(batches).map(|batch| queue.publish(batch)).buffer_unordered(PUBLISHERS);
    while let Some(published) = done.next().await {
        published?;
    }
    Ok(f64::from(BATCH * BATCHES) / start.elapsed().as_secs_f64())
}

/// Tasks taken and acked a second, by bots that work on all their holds at the same time.
async fn claim_ack(queue: &Embedded) -> Result<f64, QueueError> {
    let start = Instant::now();
    let bots = (0..BOTS).map(|_| bot(queue));
    futures::future::try_join_all(bots).await?;
    Ok(f64::from(CYCLES) / start.elapsed().as_secs_f64())
}

async fn bot(queue: &Embedded) -> Result<(), QueueError> {
    let lanes = vec![Lane { name: name::<LaneName>("default"), weight: 1 }];
    let mut consumer = queue.consume(ConsumerOptions { name: "bot".to_owned(), holds: HOLDS, lanes }).await?;
    let mut acks = tokio::task::JoinSet::new();
    for _ in 0..CYCLES / BOTS {
        let mut claim = consumer.next().await?;
        acks.spawn(async move { claim.ack().await });
        while let Some(acked) = acks.try_join_next() {
            acked.unwrap_or(Err(QueueError::Closed))?;
        }
    }
    while let Some(acked) = acks.join_next().await {
        acked.unwrap_or(Err(QueueError::Closed))?;
    }
    Ok(())
}
