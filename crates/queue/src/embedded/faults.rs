//! A disk that fails when it is told to, and what the queue makes of it.

use std::{
    collections::BTreeSet,
    fs, io,
    ops::Bound,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

use fastrand::Rng;
use redb::{BackendError, Builder, Database, DatabaseError, StorageBackend, backends::FileBackend};
use scrapefleet_policy::{Clock, SystemClock};
use serde_json::json;
use tempfile::TempDir;

use super::{opening::Medium, *};
use crate::{Claim, Lane};

/// What fails, and when: a fault is for the nth such operation from now, once.
#[derive(Debug, Default)]
struct Switch {
    writes: AtomicU32,
    syncs: AtomicU32,
    reads: AtomicU32,
    openings: AtomicU32,
}

impl Switch {
    /// Counts one operation; an error if it is the one that is to fail.
    fn pass(countdown: &AtomicU32) -> io::Result<()> {
        match countdown.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
            Ok(1) => Err(io::Error::from(io::ErrorKind::StorageFull)),
            _ => Ok(()),
        }
    }
}

/// The disk behind the switch. A failed sync is the worst kind: the data is in the file all the same.
#[derive(Debug)]
struct Faulty {
    inner: FileBackend,
    switch: Arc<Switch>,
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        Switch::pass(&self.switch.reads)?;
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        Switch::pass(&self.switch.writes)?;
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()?;
        Switch::pass(&self.switch.syncs)
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        Switch::pass(&self.switch.writes)?;
        self.inner.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }
    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }
    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }
    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }
    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }
    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

#[derive(Debug)]
struct FaultyMedium(Arc<Switch>);

impl Medium for FaultyMedium {
    fn attach(&self, builder: &Builder, file: fs::File) -> Result<Database, DatabaseError> {
        Switch::pass(&self.0.openings)?;
        builder.create_with_backend(Faulty { inner: FileBackend::new(file)?, switch: Arc::clone(&self.0) })
    }
}

/// A queue on such a disk.
struct Bench {
    switch: Arc<Switch>,
    folder: TempDir,
    queue: Embedded,
}

impl Bench {
    async fn new() -> Self {
        Self::with_cache(1 << 20).await
    }

    /// Without much of the file in memory, more is read and fewer failed writes can be made up for.
    async fn with_cache(cache_bytes: usize) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let switch = Arc::new(Switch::default());
        let medium = Arc::new(FaultyMedium(Arc::clone(&switch)));
        let path = folder.path().join("queue.redb");
        let opening = Opening { path, cache_bytes, medium };
        let queue = blocking(move || start(File::open(opening)?, options(), true)).await.unwrap();
        Self { switch, folder, queue }
    }

    async fn consumer(&self, holds: usize) -> Box<dyn Consumer> {
        let lanes = vec![Lane { name: LaneName::new("default").unwrap(), weight: 1 }];
        self.queue.consume(ConsumerOptions { name: "faults".to_owned(), holds, lanes }).await.unwrap()
    }

    async fn pending(&self) -> BTreeSet<String> {
        pending(&self.queue).await
    }

    /// What the next process finds in the file.
    async fn pending_in_file(self) -> BTreeSet<String> {
        self.queue.close().await.unwrap();
        let next = open(self.folder.path().join("queue.redb"), options()).await.unwrap();
        pending(&next).await
    }
}

async fn pending(queue: &Embedded) -> BTreeSet<String> {
    queue.pending().await.unwrap().into_iter().map(|(task, _)| task.id.to_string()).collect()
}

fn options() -> Options {
    Options::new(Arc::new(|| SystemClock.now()))
}

fn task(n: usize) -> Task {
    let task = json!({
        "schemaVersion": 1, "fleet": "faults", "id": format!("item-{n}"), "url": "http://site",
        "lane": "default", "discoveredAt": "2026-01-02T03:04:05Z", "attempt": 1
    });
    serde_json::from_value(task).unwrap()
}

fn ids(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    numbers.into_iter().map(|n| format!("item-{n}")).collect()
}

#[tokio::test]
async fn a_publish_whose_sync_fails_may_be_there_and_can_be_repeated() {
    let bench = Bench::new().await;
    bench.queue.publish(vec![task(0)]).await.unwrap();
    bench.switch.syncs.store(1, SeqCst);
    let refused = bench.queue.publish(vec![task(1), task(2)]).await;
    assert!(matches!(refused, Err(QueueError::Unwritable(_))), "{refused:?}");
    // It is in the file, and so it is ready for whoever wants it: nothing waits for a repeat that may never come.
    assert_eq!(bench.pending().await, ids(0..3));
    assert_eq!(bench.queue.depth().await.unwrap().ready, 3);
    let again = bench.queue.publish(vec![task(1), task(2), task(3)]).await.unwrap();
    assert_eq!(again, Published { new: 1, known: 2 });
    let mut consumer = bench.consumer(10).await;
    for _ in 0..4 {
        consumer.next().await.unwrap().ack().await.unwrap();
    }
    drop(consumer);
    assert_eq!(bench.pending_in_file().await, ids([]));
}

#[tokio::test]
async fn a_publish_whose_write_fails_is_not_there_at_all() {
    let bench = Bench::new().await;
    bench.queue.publish(vec![task(0)]).await.unwrap();
    bench.switch.writes.store(1, SeqCst);
    assert!(matches!(bench.queue.publish(vec![task(1)]).await, Err(QueueError::Unwritable(_))));
    assert_eq!(bench.pending().await, ids([0]));
    assert_eq!(bench.queue.publish(vec![task(1)]).await.unwrap().new, 1);
    assert_eq!(bench.pending_in_file().await, ids([0, 1]));
}

#[tokio::test]
async fn an_ack_that_fails_leaves_the_task_held_until_it_works() {
    for sync_fails in [true, false] {
        let bench = Bench::new().await;
        bench.queue.publish(vec![task(0), task(1)]).await.unwrap();
        let mut consumer = bench.consumer(1).await;
        let mut claim = consumer.next().await.unwrap();
        // Written before, so that the ack below is the only write that can fail.
        while bench.queue.inner.desk.shelf().has_marks() {
            tokio::task::yield_now().await;
        }
        bench.queue.publish(vec![task(0)]).await.unwrap();
        let fault = if sync_fails { &bench.switch.syncs } else { &bench.switch.writes };
        fault.store(1, SeqCst);
        assert!(matches!(claim.ack().await, Err(QueueError::Unwritable(_))));
        assert!(consumer_waits(&mut consumer).await, "its one hold is still in use");
        claim.ack().await.unwrap();
        assert_eq!(consumer.next().await.unwrap().task().id.as_str(), "item-1");
        assert_eq!(bench.queue.depth().await.unwrap(), Depth { ready: 1, ..Depth::default() });
        drop((claim, consumer));
        assert_eq!(bench.pending_in_file().await, ids([1]));
    }
}

async fn consumer_waits(consumer: &mut Box<dyn Consumer>) -> bool {
    let wait = std::time::Duration::from_millis(50);
    scrapefleet_policy::within(wait, "next", consumer.next()).await.is_err()
}

#[tokio::test]
async fn a_read_that_fails_is_tried_again_on_a_file_that_was_opened_again() {
    let bench = Bench::with_cache(4096).await;
    bench.queue.publish((0..500).map(task).collect()).await.unwrap();
    let generation = bench.queue.inner.desk.file.generation();
    // With nothing of the file in memory, so that there is something to read.
    bench.queue.inner.desk.file.reopen(generation).unwrap();
    bench.switch.reads.store(1, SeqCst);
    assert_eq!(bench.pending().await.len(), 500);
    assert_eq!(bench.queue.inner.desk.file.generation(), generation + 2);
    assert_eq!(bench.queue.publish(vec![task(500)]).await.unwrap().new, 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_again_is_lost_only_until_it_can() {
    let bench = Bench::new().await;
    bench.queue.publish(vec![task(0)]).await.unwrap();
    let mut consumer = bench.consumer(1).await;
    let mut claim = consumer.next().await.unwrap();
    bench.switch.syncs.store(1, SeqCst);
    bench.switch.openings.store(1, SeqCst);
    let refused = bench.queue.publish(vec![task(1)]).await;
    assert!(matches!(refused, Err(QueueError::Unwritable(_))), "{refused:?}");
    claim.ack().await.unwrap();
    assert_eq!(bench.pending().await, ids([1]), "the publish that failed was in the file, and is found");
    assert_eq!(bench.queue.depth().await.unwrap(), Depth { ready: 1, ..Depth::default() });
}

#[tokio::test]
async fn a_lost_file_is_found_again_though_nobody_asks() {
    let bench = Bench::new().await;
    bench.queue.publish(vec![task(0)]).await.unwrap();
    bench.switch.syncs.store(1, SeqCst);
    bench.switch.openings.store(1, SeqCst);
    assert!(bench.queue.publish(vec![task(1)]).await.is_err());
    // What is in the file reaches a consumer that only waits.
    let mut consumer = bench.consumer(2).await;
    let claims = [consumer.next().await.unwrap(), consumer.next().await.unwrap()];
    assert_eq!(claims.len(), 2);
}

/// Random faults under random work. What was confirmed stands; what failed may have happened or not, but is either
/// all there or not at all, and the queue says the same of it as the file.
#[tokio::test]
async fn whatever_fails_what_was_confirmed_stands() {
    let mut failed = 0;
    for seed in 0..60 {
        let bench = Bench::with_cache(if seed % 2 == 0 { 4096 } else { 1 << 20 }).await;
        let mut rng = Rng::with_seed(seed);
        let mut consumer = bench.consumer(4).await;
        let (mut published, mut acked, mut doubtful) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut claims: Vec<Box<dyn Claim>> = Vec::new();
        let mut next = 0;
        let failures = Mutex::new(0);
        let confirmed = |result: Result<(), QueueError>| {
            let failed = matches!(result, Err(QueueError::Unwritable(_) | QueueError::Unreachable(_)));
            assert!(failed || result.is_ok(), "seed {seed}: {result:?}");
            *failures.lock().unwrap() += u32::from(failed);
            !failed
        };
        for _ in 0..60 {
            match rng.u8(..10) {
                0 => bench.switch.syncs.store(rng.u32(1..3), SeqCst),
                1 => bench.switch.writes.store(rng.u32(1..8), SeqCst),
                2 => bench.switch.reads.store(rng.u32(1..4), SeqCst),
                3 => bench.switch.openings.store(1, SeqCst),
                4..7 => {
                    let batch: Vec<usize> = (next..next + rng.usize(1..5)).collect();
                    next += batch.len();
                    let done = bench.queue.publish(batch.iter().map(|n| task(*n)).collect()).await;
                    if confirmed(done.map(drop)) {
                        published.extend(ids(batch));
                    } else {
                        doubtful.extend(ids(batch));
                    }
                }
                _ if claims.len() < 4 => {
                    if bench.queue.depth().await.unwrap().ready > 0 {
                        let taken = consumer.next().await;
                        claims.extend(taken.map_err(|e| assert!(!confirmed(Err(e)))));
                    }
                }
                _ => {
                    let mut claim = claims.swap_remove(rng.usize(..claims.len()));
                    let id = claim.task().id.to_string();
                    if confirmed(claim.ack().await) {
                        acked.insert(id);
                    } else {
                        doubtful.insert(id);
                    }
                }
            }
        }
        for countdown in
            [&bench.switch.syncs, &bench.switch.writes, &bench.switch.reads, &bench.switch.openings]
        {
            countdown.store(0, SeqCst);
        }
        // One more write, after which the queue knows what the file says.
        bench.queue.publish(vec![task(1_000_000)]).await.unwrap();
        drop((claims, consumer));
        let pending = bench.pending().await;
        assert_eq!(bench.queue.depth().await.unwrap().ready, pending.len() as u64, "seed {seed}");
        for id in published.difference(&acked).filter(|id| !doubtful.contains(*id)) {
            assert!(pending.contains(id), "seed {seed}: {id} was confirmed and is gone");
        }
        for id in &acked {
            assert!(!pending.contains(id), "seed {seed}: {id} was acked and is back");
        }
        failed += *failures.lock().unwrap();
        assert_eq!(bench.pending_in_file().await, pending, "seed {seed}");
    }
    println!("{failed} operations failed");
    assert!(failed > 100, "too little failed: {failed}");
}
