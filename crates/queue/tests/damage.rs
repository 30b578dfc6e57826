//! Damaged files: each is refused with an error that names it, or has lost nothing. None panics, hangs, or is mended in
//! silence.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod scratch;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use fastrand::Rng;
use futures::StreamExt;
use scrapefleet_api::LaneName;
use scrapefleet_policy::{Clock, SystemClock};
use scrapefleet_queue::{
    ConsumerOptions, Depth, Failure, Lane, QueueError, Reason, Task, TaskQueue,
    embedded::{self, Embedded, Options},
};
use scratch::{scratch, still};

fn options() -> Options {
    Options::new(Arc::new(|| SystemClock.now()))
}

fn task(n: usize) -> Task {
    let task = serde_json::json!({
        "schemaVersion": 1, "fleet": "damage", "id": format!("item-{n}"), "url": format!("http://site/{n}"),
        "lane": "default", "discoveredAt": "2026-01-02T03:04:05Z", "attempt": 1
    });
    serde_json::from_value(task).unwrap()
}

/// All that a queue says.
#[derive(Debug, PartialEq)]
struct Contents {
    journal: Vec<String>,
    pending: BTreeMap<String, Task>,
    dead: Vec<(String, String)>,
    depth: Depth,
}

async fn contents(queue: &Embedded) -> Result<Contents, QueueError> {
    let mut journal = Vec::new();
    let mut entries = queue.journal().await?;
    while let Some(entry) = entries.next().await {
        journal.push(serde_json::to_string(&entry?).unwrap());
    }
    let pending = queue.pending().await?.into_iter().map(|(task, _)| (task.id.to_string(), task)).collect();
    let dead = queue.dead_letters().await?;
    let dead = dead.into_iter().map(|l| (l.item.unwrap().to_string(), l.failure.message)).collect();
    Ok(Contents { journal, pending, dead, depth: queue.depth().await? })
}

/// A queue with something in every table, in several commits.
async fn furnish(queue: &Embedded) {
    for part in (0..400).collect::<Vec<_>>().chunks(40) {
        queue.publish(part.iter().map(|n| task(*n)).collect()).await.unwrap();
    }
    let lanes = vec![Lane { name: LaneName::new("default").unwrap(), weight: 1 }];
    let options = ConsumerOptions { name: "damage".to_owned(), holds: 200, lanes };
    let mut consumer = queue.consume(options).await.unwrap();
    for n in 0..150 {
        let mut claim = consumer.next().await.unwrap();
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        let failure =
            Failure { reason: Reason::TakeFailed, message: "no".to_owned(), at, evidence: Vec::new() };
        match n % 3 {
            0 => claim.ack().await.unwrap(),
            1 => claim.dead(failure).await.unwrap(),
            _ => claim.retry(std::time::Duration::from_hours(9), failure).await.unwrap(),
        }
    }
}

/// Damages a file in one of the ways in which disks, copies and people do.
fn damage(bytes: &mut Vec<u8>, rng: &mut Rng) -> String {
    let at = rng.usize(..bytes.len());
    let end = (at + rng.usize(1..8192)).min(bytes.len());
    match rng.u8(..7) {
        0 => {
            bytes.truncate(at);
            format!("cut to {at} bytes")
        }
        1 => {
            bytes[at..end].fill(0);
            format!("zeros from {at} to {end}")
        }
        2 => {
            rng.fill(&mut bytes[at..end]);
            format!("noise from {at} to {end}")
        }
        3 => {
            let head = at.min(512);
            bytes[head] ^= 1 << rng.u8(..8);
            format!("a bit of the header at {head}")
        }
        4 => {
            let from = rng.usize(..bytes.len() / 4096) * 4096;
            let to = rng.usize(..bytes.len() / 4096) * 4096;
            bytes.copy_within(from..from + 4096, to);
            format!("the page at {from} over the one at {to}")
        }
        _ => {
            bytes[at] ^= 1 << rng.u8(..8);
            format!("a bit at {at}")
        }
    }
}

async fn look(path: &Path) -> Result<Contents, QueueError> {
    let queue = embedded::open(path, options()).await?;
    let found = contents(&queue).await;
    queue.close().await?;
    found
}

/// Damages copies of a file and looks at what each still says, which must be one of `allowed`.
async fn examine(whole: &[u8], allowed: &[&Contents], seeds: std::ops::Range<u64>) {
    let folder = scratch();
    let (mut refused, mut unharmed) = (0, 0);
    for seed in seeds {
        let mut bytes = whole.to_vec();
        let how = damage(&mut bytes, &mut Rng::with_seed(seed));
        let path = folder.path().join(format!("{seed}.redb"));
        std::fs::write(&path, bytes).unwrap();
        for look_number in 0..2 {
            match look(&path).await {
                Ok(found) => {
                    let right = allowed.iter().any(|contents| **contents == found);
                    assert!(right, "seed {seed}, {how}, look {look_number}: something is lost in silence");
                    unharmed += 1;
                }
                Err(QueueError::Corrupt(said)) => {
                    assert!(said.contains(path.to_str().unwrap()) && said.contains("restore"), "{said}");
                    refused += 1;
                }
                Err(other) => panic!("seed {seed}, {how}: {other}"),
            }
        }
        std::fs::remove_file(&path).unwrap();
    }
    println!("{refused} looks refused, {unharmed} unharmed");
    assert!(refused > 0 && unharmed > 0, "both must occur, or the damage is not what it should be");
}

#[tokio::test]
async fn a_damaged_file_is_refused_or_has_lost_nothing() {
    let folder = scratch();
    let path = folder.path().join("queue.redb");
    let queue = embedded::open(&path, options()).await.unwrap();
    furnish(&queue).await;
    let expected = contents(&queue).await.unwrap();
    queue.close().await.unwrap();
    println!("the file is {} bytes", std::fs::metadata(&path).unwrap().len());
    examine(&std::fs::read(&path).unwrap(), &[&expected], 0..250).await;
}

/// After a death a damaged page of the very last write cannot be told from a write that the death cut short, so that
/// write may be missing; nothing else may.
#[tokio::test]
async fn a_file_damaged_after_a_death_has_lost_the_last_write_at_most() {
    let folder = scratch();
    let path = folder.path().join("queue.redb");
    let queue = embedded::open(&path, options()).await.unwrap();
    furnish(&queue).await;
    let before = contents(&queue).await.unwrap();
    queue.publish(vec![task(1000)]).await.unwrap();
    let expected = contents(&queue).await.unwrap();
    examine(&still(&path), &[&expected, &before], 1000..1250).await;
}

#[tokio::test]
async fn what_is_no_queue_at_all_is_refused() {
    let folder = scratch();
    let other = folder.path().join("other.redb");
    drop(redb::Database::create(&other).unwrap().begin_write().map(|txn| {
        let numbers = redb::TableDefinition::<u64, u64>::new("tasks");
        txn.open_table(numbers).unwrap();
        txn.commit().unwrap();
    }));
    let cases: [(&str, Vec<u8>); 4] = [
        ("empty", Vec::new()),
        ("text", b"apiVersion: scrapefleet.io/v1alpha1\n".to_vec()),
        ("noise", std::iter::repeat_with(|| 0xA5).take(1 << 20).collect()),
        ("other", std::fs::read(&other).unwrap()),
    ];
    for (name, bytes) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let error = look(&path).await.unwrap_err();
        assert!(matches!(error, QueueError::Corrupt(_)), "{name}: {error}");
        println!("{name}: {error}");
    }
}
