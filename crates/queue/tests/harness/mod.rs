//! The harnesses of the implementations that need nothing but this machine.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use scrapefleet_api::LaneName;
use scrapefleet_policy::{Clock, SystemClock};
use scrapefleet_queue::{
    Now, TaskQueue,
    contract::Harness,
    embedded::{self, Embedded, Options},
    memory::Memory,
};
use tempfile::TempDir;

use crate::scratch::{scratch, still};

/// Deaths of its holder that a task survives in these tests.
const MAX_DELIVERIES: u32 = 4;

/// The machine's time, set forward by as much as the tests say.
#[derive(Debug, Clone, Default)]
struct AheadClock {
    ahead: Arc<Mutex<Duration>>,
}

impl AheadClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + *self.ahead.lock().unwrap()
    }

    fn reader(&self) -> Now {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }

    fn set_forward(&self, time: Duration) {
        *self.ahead.lock().unwrap() += time;
    }
}

/// The fake.
pub(crate) struct InMemory {
    clock: AheadClock,
    queue: Memory,
}

impl InMemory {
    pub(crate) fn start() -> Self {
        let clock = AheadClock::default();
        let queue = Memory::new(clock.reader(), MAX_DELIVERIES);
        Self { clock, queue }
    }
}

#[async_trait]
impl Harness for InMemory {
    fn queue(&self) -> Arc<dyn TaskQueue> {
        Arc::new(self.queue.clone())
    }
    async fn kill(&mut self) {
        self.queue.crash();
    }
    async fn put_raw(&self, lane: &LaneName, message: &[u8]) {
        self.queue.publish_raw(lane, message);
    }
    async fn pass(&self, time: Duration) {
        self.clock.set_forward(time);
    }
    fn skips_time(&self) -> bool {
        true
    }
    fn dedups(&self) -> bool {
        true
    }
    fn max_deliveries(&self) -> u32 {
        MAX_DELIVERIES
    }
}

/// The embedded queue. A death is played by going on with a copy of the file as it is at that moment, which is what the
/// next process would find.
pub(crate) struct InFile {
    clock: AheadClock,
    folder: TempDir,
    queue: Embedded,
    /// Processes that are dead by now, kept so that nothing of them is cleaned up.
    dead: Vec<Embedded>,
}

impl InFile {
    pub(crate) async fn start() -> Self {
        let clock = AheadClock::default();
        let folder = scratch();
        let queue = open(&folder.path().join("0.redb"), &clock).await;
        Self { clock, folder, queue, dead: Vec::new() }
    }

    fn path(&self, life: usize) -> PathBuf {
        self.folder.path().join(format!("{life}.redb"))
    }
}

async fn open(path: &Path, clock: &AheadClock) -> Embedded {
    let options = Options { max_deliveries: MAX_DELIVERIES, ..Options::new(clock.reader()) };
    embedded::open(path, options).await.unwrap()
}

#[async_trait]
impl Harness for InFile {
    fn queue(&self) -> Arc<dyn TaskQueue> {
        Arc::new(self.queue.clone())
    }
    async fn kill(&mut self) {
        let life = self.dead.len();
        std::fs::write(self.path(life + 1), still(&self.path(life))).unwrap();
        let next = open(&self.path(life + 1), &self.clock).await;
        self.dead.push(std::mem::replace(&mut self.queue, next));
    }
    async fn put_raw(&self, lane: &LaneName, message: &[u8]) {
        self.queue.publish_raw(lane, message).await.unwrap();
    }
    async fn pass(&self, time: Duration) {
        self.clock.set_forward(time);
        // A set clock wakes nobody; looking at the queue does.
        self.queue.depth().await.unwrap();
    }
    fn skips_time(&self) -> bool {
        true
    }
    fn dedups(&self) -> bool {
        true
    }
    fn max_deliveries(&self) -> u32 {
        MAX_DELIVERIES
    }
}
