//! The process is killed at random moments: what it was told is confirmed is there, what it acked stays away.
//!
//! The test starts itself again as the victim, which says on its standard output what was confirmed to it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[expect(dead_code, reason = "this file is the one that a dead process left")]
mod scratch;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use fastrand::Rng;
use futures::StreamExt;
use scrapefleet_api::LaneName;
use scrapefleet_policy::{Clock, SystemClock};
use scrapefleet_queue::{
    Consumer, ConsumerOptions, Failure, Lane, Reason, Task, TaskQueue,
    embedded::{self, Embedded, Options},
};
use scratch::scratch;

const KILLS: u64 = 24;

/// Set for the victim: the file and its life's number.
const VICTIM: &str = "SCRAPEFLEET_QUEUE_VICTIM";

fn options() -> Options {
    Options { max_deliveries: u32::MAX, ..Options::new(Arc::new(|| SystemClock.now())) }
}

fn task(id: &str) -> Task {
    let task = serde_json::json!({
        "schemaVersion": 1, "fleet": "kill", "id": id, "url": "http://site", "lane": "default",
        "discoveredAt": "2026-01-02T03:04:05Z", "attempt": 1
    });
    serde_json::from_value(task).unwrap()
}

/// Does nothing unless the test below has started it as its victim.
#[tokio::test]
async fn victim() {
    let Ok(orders) = std::env::var(VICTIM) else { return };
    // The harness has begun a line with this test's name; what is said must not be the rest of it.
    println!();
    let (life, path) = orders.split_once(' ').unwrap();
    let queue = embedded::open(path, options()).await.unwrap();
    let mut work = tokio::task::JoinSet::new();
    for number in 0..3 {
        let lanes = vec![Lane { name: LaneName::new("default").unwrap(), weight: 1 }];
        let options = ConsumerOptions { name: "victim".to_owned(), holds: 3, lanes };
        let consumer = queue.consume(options).await.unwrap();
        work.spawn(consume(consumer, Rng::with_seed(number)));
    }
    let mut rng = Rng::new();
    for batch in 0.. {
        let ids: Vec<_> = (0..rng.u32(1..15)).map(|n| format!("{life}-{batch}-{n}")).collect();
        queue.publish(ids.iter().map(|id| task(id)).collect()).await.unwrap();
        for id in &ids {
            println!("published {id}");
        }
        if queue.depth().await.unwrap().ready > 300 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Finishes what it takes, in random ways, and says so before and after.
async fn consume(mut consumer: Box<dyn Consumer>, mut rng: Rng) {
    let mut held = Vec::new();
    loop {
        held.push(consumer.next().await.unwrap());
        if held.len() < 3 {
            continue;
        }
        let mut claim = held.swap_remove(rng.usize(..3));
        let id = claim.task().id.clone();
        let failure = Failure {
            reason: Reason::TakeFailed,
            message: "no".to_owned(),
            at: SystemClock.now(),
            evidence: Vec::new(),
        };
        match rng.u8(..8) {
            0 => drop(claim),
            1 => claim.release().await.unwrap(),
            2 => claim.retry(Duration::from_millis(rng.u64(..9)), failure).await.unwrap(),
            3 => {
                println!("burying {id}");
                claim.dead(failure).await.unwrap();
                println!("buried {id}");
            }
            _ => {
                println!("acking {id}");
                claim.ack().await.unwrap();
                println!("acked {id}");
            }
        }
    }
}

/// Starts a victim, kills it after a while and returns what it said.
fn one_life(path: &Path, life: u64, rng: &mut Rng) -> String {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture", "--test-threads=1"])
        .env(VICTIM, format!("{life} {}", path.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = victim.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        stdout.read_to_string(&mut said).map(|_| said).unwrap()
    });
    // No condition to wait for: the point is that the moment is any.
    std::thread::sleep(Duration::from_millis(rng.u64(20..400)));
    let ended = victim.try_wait().unwrap();
    victim.kill().unwrap();
    let rest = victim.wait_with_output().unwrap();
    assert!(ended.is_none(), "the victim ended by itself: {}", String::from_utf8_lossy(&rest.stderr));
    reader.join().unwrap()
}

/// What was heard of each item: the last word counts.
fn listen(said: &str, heard: &mut BTreeMap<String, String>) {
    for line in said.lines().filter(|line| !line.is_empty()) {
        if let Some((word, id)) = line.split_once(' ')
            && ["published", "burying", "buried", "acking", "acked"].contains(&word)
        {
            // A consumer may be faster than the publisher is told.
            let late = word == "published" && heard.contains_key(id);
            if !late {
                heard.insert(id.to_owned(), word.to_owned());
            }
        }
    }
}

async fn check(queue: &Embedded, heard: &BTreeMap<String, String>) {
    let journal: Vec<String> =
        queue.journal().await.unwrap().map(|entry| entry.unwrap().id.to_string()).collect().await;
    let discovered: BTreeSet<&str> = journal.iter().map(String::as_str).collect();
    assert_eq!(discovered.len(), journal.len(), "an item is in the journal twice");

    let pending = queue.pending().await.unwrap();
    let waiting: BTreeSet<&str> = pending.iter().map(|(task, _)| task.id.as_str()).collect();
    assert_eq!(waiting.len(), pending.len(), "an item is queued twice");
    let letters = queue.dead_letters().await.unwrap();
    let dead: BTreeSet<&str> = letters.iter().map(|l| l.item.as_ref().unwrap().as_str()).collect();
    assert_eq!(dead.len(), letters.len(), "an item is dead twice");

    for (id, word) in heard {
        let id = id.as_str();
        assert!(discovered.contains(id), "{id} was confirmed and is not in the journal");
        let places = (waiting.contains(id), dead.contains(id));
        let right = match word.as_str() {
            "published" => places == (true, false),
            "burying" => places.0 != places.1,
            "buried" => places == (false, true),
            "acking" => !places.1,
            _ => places == (false, false),
        };
        assert!(right, "{id} was {word}; waiting, dead: {places:?}");
    }
    // What nobody heard of was published without the publisher being told, and waits.
    for id in discovered.iter().filter(|id| !heard.contains_key(**id)) {
        assert!(waiting.contains(id), "{id} is neither waiting nor finished by anybody");
    }
    let depth = queue.depth().await.unwrap();
    assert_eq!(depth.ready + depth.delayed, waiting.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing_and_doubles_nothing() {
    let folder = scratch();
    let path = folder.path().join("queue.redb");
    let seed = std::env::var("SEED").map_or(17, |seed| seed.parse().expect("SEED is a number"));
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let mut heard = BTreeMap::new();
    for life in 0..KILLS {
        let file = path.clone();
        let mut moments = rng.fork();
        let said = tokio::task::spawn_blocking(move || one_life(&file, life, &mut moments)).await.unwrap();
        listen(&said, &mut heard);
        if path.exists() {
            let queue = embedded::open(&path, options()).await.unwrap();
            check(&queue, &heard).await;
            queue.close().await.unwrap();
        }
    }
    let count = |word: &str| heard.values().filter(|heard| *heard == word).count();
    println!(
        "{KILLS} kills: {} acked, {} buried, {} waiting",
        count("acked"),
        count("buried"),
        count("published")
    );
    assert!(count("acked") > 100 && count("buried") > 10 && count("published") > 10, "too little happened");
}
