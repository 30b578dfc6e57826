//! Opening and closing the embedded queue: by one process at a time, for reading, again and again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod scratch;

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use scrapefleet_api::LaneName;
use scrapefleet_policy::{Clock, SystemClock, within};
use scrapefleet_queue::{
    Consumer, ConsumerOptions, Lane, QueueError, Reason, Task, TaskQueue,
    embedded::{self, Embedded, Options},
};
use scratch::scratch;

/// Set for the process that the tests start to have the file open.
const HOLDER: &str = "SCRAPEFLEET_QUEUE_HOLDER";

fn options() -> Options {
    Options::new(Arc::new(|| SystemClock.now()))
}

fn task(n: usize) -> Task {
    let task = serde_json::json!({
        "schemaVersion": 1, "fleet": "open", "id": format!("item-{n}"), "url": format!("http://site/{n}"),
        "lane": "default", "discoveredAt": "2026-01-02T03:04:05Z", "attempt": 1
    });
    serde_json::from_value(task).unwrap()
}

async fn consumer(queue: &Embedded, holds: usize) -> Box<dyn Consumer> {
    let lanes = vec![Lane { name: LaneName::new("default").unwrap(), weight: 1 }];
    queue.consume(ConsumerOptions { name: "open".to_owned(), holds, lanes }).await.unwrap()
}

/// Does nothing unless a test below has started it: opens the file, takes all tasks and stays.
#[tokio::test]
async fn holder() {
    let Ok(path) = std::env::var(HOLDER) else { return };
    let queue = embedded::open(path, options()).await.unwrap();
    let mut consumer = consumer(&queue, 10).await;
    let mut claims = Vec::new();
    for _ in 0..queue.depth().await.unwrap().ready {
        let next = within(Duration::from_millis(300), "next", consumer.next()).await;
        claims.extend(next.map(Result::unwrap));
    }
    // Long enough for the record that they were handed out.
    tokio::time::sleep(Duration::from_millis(100)).await;
    println!("holding");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Another process that has the file open, killed when dropped.
struct Holder(Child);

impl Holder {
    fn of(path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "holder", "--nocapture", "--test-threads=1"])
            .env(HOLDER, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.ends_with("holding")), "the holder has failed");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_another_process_uses_is_refused_with_its_number() {
    let folder = scratch();
    let path = folder.path().join("queue.redb");
    let holder = Holder::of(&path);
    let pid = format!("process {}", holder.0.id());
    for error in [
        embedded::open(&path, options()).await.unwrap_err(),
        embedded::open_read_only(&path, options()).await.unwrap_err(),
    ] {
        let QueueError::InUse(said) = error else { panic!("{error}") };
        assert!(said.contains(&pid) && said.contains("stop that run first"), "{said}");
    }
    drop(holder);
    embedded::open(&path, options()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_whose_process_always_dies_is_given_up() {
    let folder = scratch();
    let path = folder.path().join("queue.redb");
    let options = || Options { max_deliveries: 3, ..options() };
    let queue = embedded::open(&path, options()).await.unwrap();
    queue.publish(vec![task(0)]).await.unwrap();
    queue.close().await.unwrap();
    for _ in 0..3 {
        drop(Holder::of(&path));
    }
    let queue = embedded::open(&path, options()).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().ready, 1);
    let mut consumer = consumer(&queue, 1).await;
    assert!(within(Duration::from_millis(200), "next", consumer.next()).await.is_err());
    let letter = queue.dead_letters().await.unwrap().remove(0);
    assert_eq!(letter.failure.reason, Reason::HolderDied);
    assert!(letter.failure.message.contains("3 times"), "{}", letter.failure.message);
}

#[tokio::test]
async fn a_file_is_open_once_in_this_process_too_and_free_when_closed_or_dropped() {
    let folder = scratch();
    let path = folder.path().join("queue.redb");
    let queue = embedded::open(&path, options()).await.unwrap();
    let error = embedded::open(&path, options()).await.unwrap_err();
    assert!(matches!(&error, QueueError::InUse(said) if said.contains("this process")), "{error}");
    queue.publish(vec![task(0)]).await.unwrap();
    let mut consumer = consumer(&queue, 1).await;
    let mut claim = consumer.next().await.unwrap();
    queue.close().await.unwrap();
    // What is left of it is closed, and no longer in the way.
    assert_eq!(claim.ack().await, Err(QueueError::Closed));
    assert!(matches!(consumer.next().await, Err(QueueError::Closed)));
    assert!(matches!(queue.publish(vec![task(1)]).await, Err(QueueError::Closed)));
    assert!(matches!(queue.pending().await, Err(QueueError::Closed)));
    let again = embedded::open(&path, options()).await.unwrap();
    drop((claim, consumer, queue));
    assert_eq!(again.depth().await.unwrap().ready, 1);
    drop(again);
    embedded::open(&path, options()).await.unwrap();
}

#[tokio::test]
async fn a_reader_sees_everything_and_changes_nothing() {
    let folder = scratch();
    let path = folder.path().join("queue.redb");
    let missing = embedded::open_read_only(&path, options()).await.unwrap_err();
    assert!(matches!(&missing, QueueError::Unwritable(said) if said.contains("does not exist")), "{missing}");
    let queue = embedded::open(&path, options()).await.unwrap();
    queue.publish(vec![task(0), task(1)]).await.unwrap();
    queue.publish_raw(&LaneName::new("default").unwrap(), b"{oh no").await.unwrap();
    // As after a death: not closed.
    let dead = folder.path().join("dead.redb");
    std::fs::write(&dead, scratch::still(&path)).unwrap();
    queue.close().await.unwrap();
    for path in [path, dead] {
        let one = embedded::open_read_only(&path, options()).await.unwrap();
        let two = embedded::open_read_only(&path, options()).await.unwrap();
        for reader in [one, two] {
            assert_eq!(reader.depth().await.unwrap().ready, 3);
            assert_eq!(reader.pending().await.unwrap().len(), 2);
            let refused = reader.publish(vec![task(2)]).await.unwrap_err();
            assert!(matches!(refused, QueueError::Unwritable(_)), "{refused}");
            let lanes = vec![Lane { name: LaneName::new("default").unwrap(), weight: 1 }];
            let options = ConsumerOptions { name: "open".to_owned(), holds: 1, lanes };
            assert!(matches!(reader.consume(options).await.err(), Some(QueueError::Unwritable(_))));
        }
    }
}

#[tokio::test]
async fn the_room_of_finished_tasks_is_used_again() {
    let folder = scratch();
    let path = folder.path().join("queue.redb");
    let queue = embedded::open(&path, options()).await.unwrap();
    let size = || std::fs::metadata(&path).unwrap().len();
    let lane = LaneName::new("default").unwrap();
    // Through the queue but not the journal, which is to grow.
    let message = serde_json::to_vec(&Task { url: "u".repeat(1000), ..task(0) }).unwrap();
    let mut sizes = Vec::new();
    for _ in 0..8 {
        for _ in 0..150 {
            queue.publish_raw(&lane, &message).await.unwrap();
        }
        let mut consumer = consumer(&queue, 150).await;
        for _ in 0..150 {
            consumer.next().await.unwrap().ack().await.unwrap();
        }
        sizes.push(size());
    }
    assert!(sizes[7] <= sizes[1] + sizes[1] / 4, "the file grows with what is finished: {sizes:?}");
}

#[tokio::test]
async fn a_file_that_is_mostly_empty_shrinks_when_it_is_opened() {
    let folder = scratch();
    let path = folder.path().join("queue.redb");
    let queue = embedded::open(&path, options()).await.unwrap();
    let lane = LaneName::new("default").unwrap();
    let message = serde_json::to_vec(&Task { url: "u".repeat(200_000), ..task(0) }).unwrap();
    for _ in 0..150 {
        queue.publish_raw(&lane, &message).await.unwrap();
    }
    queue.publish(vec![task(1)]).await.unwrap();
    let mut consumer = consumer(&queue, 150).await;
    for _ in 0..150 {
        consumer.next().await.unwrap().ack().await.unwrap();
    }
    let full = std::fs::metadata(&path).unwrap().len();
    drop(consumer);
    queue.close().await.unwrap();
    let queue = embedded::open(&path, options()).await.unwrap();
    let shrunk = std::fs::metadata(&path).unwrap().len();
    assert!(shrunk * 4 < full, "{full} bytes, then {shrunk}");
    assert_eq!(queue.pending().await.unwrap().len(), 1);
}
