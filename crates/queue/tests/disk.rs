//! A disk that is full, and one that takes no writes: real ones, mounted for the test where nobody else sees them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[expect(dead_code, reason = "these files are on disks of their own")]
mod scratch;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use scrapefleet_api::LaneName;
use scrapefleet_policy::{Clock, SystemClock, within};
use scrapefleet_queue::{
    Consumer, ConsumerOptions, Failure, Lane, QueueError, Reason, Task, TaskQueue,
    embedded::{self, Embedded, Options},
};
use scrapefleet_test_mounts as mounts;
use scratch::still;
use tempfile::TempDir;

/// A small disk, taken away again when dropped.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn of(kib: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={kib}k");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()));
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("queue.redb")
    }

    fn remount(&self, options: &str) {
        // With its source, so that nothing is asked but these options: not its user, who has no number in a namespace.
        let options = format!("remount,{options}");
        run(Command::new("mount").args(["-o", &options, "tmpfs"]).arg(self.folder.path()));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, so that a failing test that still has the file open leaves nothing mounted.
        let status = Command::new("umount").arg("-l").arg(self.folder.path()).status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("`{}` is still mounted", self.folder.path().display());
        }
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn open(path: &Path) -> Result<Embedded, QueueError> {
    embedded::open(path, Options::new(Arc::new(|| SystemClock.now()))).await
}

/// A batch of tasks of about `bytes` each.
fn batch(number: usize, count: usize, bytes: usize) -> Vec<Task> {
    let task = |n| {
        serde_json::json!({
            "schemaVersion": 1, "fleet": "disk", "id": format!("item-{number}-{n}"), "url": "http://site",
            "lane": "default", "discoveredAt": "2026-01-02T03:04:05Z", "attempt": 1, "padding": "x".repeat(bytes)
        })
    };
    (0..count).map(|n| serde_json::from_value(task(n)).unwrap()).collect()
}

async fn consumer(queue: &Embedded) -> Box<dyn Consumer> {
    let lanes = vec![Lane { name: LaneName::new("default").unwrap(), weight: 1 }];
    queue.consume(ConsumerOptions { name: "disk".to_owned(), holds: 50, lanes }).await.unwrap()
}

async fn journal(queue: &Embedded) -> BTreeSet<String> {
    queue.journal().await.unwrap().map(|entry| entry.unwrap().id.to_string()).collect().await
}

async fn pending(queue: &Embedded) -> BTreeSet<String> {
    queue.pending().await.unwrap().into_iter().map(|(task, _)| task.id.to_string()).collect()
}

/// Fills the disk by publishing; returns what was confirmed and the batch that was not.
async fn fill(queue: &Embedded, count: usize, bytes: usize) -> (BTreeSet<String>, Vec<Task>) {
    let mut confirmed = BTreeSet::new();
    for number in 0.. {
        let tasks = batch(number, count, bytes);
        match queue.publish(tasks.clone()).await {
            Ok(_) => confirmed.extend(tasks.iter().map(|task| task.id.to_string())),
            Err(QueueError::Unwritable(said)) => {
                assert!(said.contains("queue.redb") && said.contains("make room"), "{said}");
                return (confirmed, tasks);
            }
            Err(other) => panic!("{other}"),
        }
    }
    unreachable!("a small disk is full at some time")
}

/// On disks of several sizes, and with small and large batches, so that the end comes at different points of a write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_and_heals_by_itself() {
    if !mounts::are_possible("a_full_disk_loses_nothing_and_heals_by_itself").unwrap() {
        return;
    }
    for (kib, count, bytes) in [(2_500, 40, 100), (3_333, 50, 900), (4_444, 7, 20_000), (12_345, 30, 200_000)]
    {
        let disk = Disk::of(kib);
        let queue = open(&disk.file()).await.unwrap();
        queue.publish(batch(1_000_000, 20, 10)).await.unwrap();
        let mut consumer = consumer(&queue).await;
        let mut held = Vec::new();
        for _ in 0..20 {
            held.push(consumer.next().await.unwrap());
        }
        let (confirmed, refused) = fill(&queue, count, bytes).await;
        println!("{kib} KiB: full after {} tasks of {bytes} bytes", confirmed.len());

        full(&queue, &confirmed, &mut consumer).await;
        // Another try is as unsuccessful, as harmless, and quick.
        for _ in 0..3 {
            let again =
                within(Duration::from_secs(5), "publish", queue.publish(refused.clone())).await.unwrap();
            assert!(matches!(again, Err(QueueError::Unwritable(_))), "{again:?}");
        }

        disk.remount(&format!("size={}k", kib * 4));
        let published = queue.publish(refused.clone()).await.unwrap();
        assert_eq!(published.new + published.known, refused.len());
        for mut claim in held {
            claim.ack().await.unwrap();
        }
        let mut all = confirmed;
        all.extend(refused.iter().map(|task| task.id.to_string()));
        check(&disk, &queue, &all).await;
    }
}

/// What works on a full disk: everything that is not a write.
async fn full(queue: &Embedded, confirmed: &BTreeSet<String>, consumer: &mut Box<dyn Consumer>) {
    let depth = queue.depth().await.unwrap();
    assert_eq!(depth.ready + depth.held, confirmed.len() as u64 + 20);
    assert!(journal(queue).await.is_superset(confirmed));
    assert!(pending(queue).await.is_superset(confirmed));
    let mut claim = within(Duration::from_secs(5), "next", consumer.next()).await.unwrap().unwrap();
    let failure = Failure {
        reason: Reason::TakeFailed,
        message: "no".to_owned(),
        at: SystemClock.now(),
        evidence: Vec::new(),
    };
    // A finish is a write: it works or says that it does not, and then the task is still held.
    match claim.retry(Duration::ZERO, failure).await {
        Ok(()) => {}
        Err(QueueError::Unwritable(_)) => assert_eq!(queue.depth().await.unwrap().held, 21),
        Err(other) => panic!("{other}"),
    }
    drop(claim);
}

/// With room again: all confirmed tasks are there, nothing held is left, and the next process finds the same.
async fn check(disk: &Disk, queue: &Embedded, confirmed: &BTreeSet<String>) {
    assert_eq!(pending(queue).await, *confirmed);
    assert_eq!(queue.depth().await.unwrap().held, 0);
    let copy = disk.folder.path().join("copy.redb");
    std::fs::write(&copy, still(&disk.file())).unwrap();
    let next = open(&copy).await.unwrap();
    assert_eq!(pending(&next).await, *confirmed);
    assert_eq!(journal(&next).await.len(), confirmed.len() + 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_on_a_full_disk_can_be_opened_and_read() {
    if !mounts::are_possible("a_queue_on_a_full_disk_can_be_opened_and_read").unwrap() {
        return;
    }
    let disk = Disk::of(3_000);
    let queue = open(&disk.file()).await.unwrap();
    let (confirmed, refused) = fill(&queue, 40, 500).await;
    queue.close().await.unwrap();
    let queue = open(&disk.file()).await.unwrap();
    assert_eq!(pending(&queue).await, confirmed);
    assert_eq!(journal(&queue).await, confirmed);
    let again = queue.publish(refused.clone()).await;
    assert!(matches!(again, Err(QueueError::Unwritable(_))), "{again:?}");
    disk.remount("size=9000k");
    queue.publish(refused.clone()).await.unwrap();
    assert_eq!(pending(&queue).await.len(), confirmed.len() + refused.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_no_writes_is_named() {
    if !mounts::are_possible("a_disk_that_takes_no_writes_is_named").unwrap() {
        return;
    }
    let disk = Disk::of(4_000);
    let queue = open(&disk.file()).await.unwrap();
    queue.publish(batch(0, 3, 10)).await.unwrap();
    queue.close().await.unwrap();
    disk.remount("ro");
    for path in [disk.file(), disk.folder.path().join("new.redb")] {
        let error = open(&path).await.unwrap_err();
        assert!(matches!(&error, QueueError::Unwritable(said) if said.contains("Read-only")), "{error}");
    }
    let reader =
        embedded::open_read_only(disk.file(), Options::new(Arc::new(|| SystemClock.now()))).await.unwrap();
    assert_eq!(pending(&reader).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_too_small_for_a_new_queue_is_named() {
    if !mounts::are_possible("a_disk_too_small_for_a_new_queue_is_named").unwrap() {
        return;
    }
    let disk = Disk::of(8);
    let error = open(&disk.file()).await.unwrap_err();
    assert!(matches!(&error, QueueError::Unwritable(said) if said.contains("make room")), "{error}");
    assert_eq!(std::fs::read_dir(disk.folder.path()).unwrap().count(), 0, "nothing half-made is left");
}
