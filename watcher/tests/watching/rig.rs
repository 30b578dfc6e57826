//! A watcher on a scripted list and a queue that can fail, in virtual time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use scrapefleet_api::{FleetName, ItemId, LaneName, Period, lane::Lanes, watcher::WatcherSpec};
use scrapefleet_browser::{BrowserFactory, Fault, fake::FakeSite};
use scrapefleet_policy::{Clock, Instant};
use scrapefleet_queue::{
    Consumer, ConsumerOptions, DeadLetter, Depth, JournalEntry, LockGuard, Published, QueueError, Task,
    TaskQueue, TaskState, memory::Memory,
};
use scrapefleet_telemetry::Metrics;
use scrapefleet_watcher::{Means, Watcher, WatcherConfig, WatcherMetrics, WatcherState, WatcherStatus};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// How a queue behaves for the time being.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Answers,
    Fails,
    Hangs,
    /// Takes what is published and then says nothing, as when the connection is lost before the confirmation.
    LosesConfirmations,
}

/// A queue in memory that records what is published and can fail.
#[derive(Debug, Clone)]
pub(crate) struct TestQueue {
    inner: Memory,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    published: Vec<Task>,
    attempts: usize,
}

impl TestQueue {
    pub(crate) fn new() -> Self {
        let now = TokioClock::new();
        Self { inner: Memory::new(Arc::new(move || now.now()), 3), state: Arc::default() }
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// The ids of what was published and confirmed, in that order, repeats included.
    pub(crate) fn published(&self) -> Vec<String> {
        self.lock().published.iter().map(|task| task.id.to_string()).collect()
    }

    pub(crate) fn tasks(&self) -> Vec<Task> {
        self.lock().published.clone()
    }

    /// Calls of `publish`, failed ones included.
    pub(crate) fn attempts(&self) -> usize {
        self.lock().attempts
    }

    /// Every lock is lost, as when the connection that carried it breaks.
    pub(crate) fn lose_locks(&self) {
        self.inner.crash();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn reach(&self) -> Result<(), QueueError> {
        let mood = self.lock().mood;
        match mood {
            Mood::Answers | Mood::LosesConfirmations => Ok(()),
            Mood::Fails => Err(QueueError::Unreachable("told to fail".to_owned())),
            Mood::Hangs => std::future::pending().await,
        }
    }
}

#[async_trait]
impl TaskQueue for TestQueue {
    async fn publish(&self, tasks: Vec<Task>) -> Result<Published, QueueError> {
        self.lock().attempts += 1;
        self.reach().await?;
        let published = self.inner.publish(tasks.clone()).await?;
        if self.lock().mood == Mood::LosesConfirmations {
            std::future::pending::<()>().await;
        }
        self.lock().published.extend(tasks);
        Ok(published)
    }

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn LockGuard>>, QueueError> {
        self.reach().await?;
        self.inner.try_lock(name).await
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>, QueueError> {
        self.inner.consume(options).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.inner.depth().await
    }

    async fn lane_depths(&self) -> Result<BTreeMap<LaneName, Depth>, QueueError> {
        self.inner.lane_depths().await
    }

    async fn journal(&self) -> Result<BoxStream<'static, Result<JournalEntry, QueueError>>, QueueError> {
        self.inner.journal().await
    }

    async fn pending(&self) -> Result<Vec<(Task, TaskState)>, QueueError> {
        self.inner.pending().await
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, QueueError> {
        self.inner.dead_letters().await
    }

    async fn replay(&self, item: &ItemId) -> Result<(), QueueError> {
        self.inner.replay(item).await
    }

    async fn purge(&self, letters: &[DeadLetter]) -> Result<usize, QueueError> {
        self.inner.purge(letters).await
    }
}

/// The calendar time of a test: virtual, like everything else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokioClock {
    start: Instant,
}

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.start.elapsed()
    }
}

/// A watcher that runs.
pub(crate) struct Rig {
    metrics: Metrics,
    status: watch::Receiver<WatcherStatus>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Rig {
    /// Starts a watcher with these pauses: 300 ms, at least 100 ms, at most 2 s.
    pub(crate) fn start(factory: impl BrowserFactory + 'static, queue: &TestQueue) -> Self {
        let spec = WatcherSpec {
            refresh: Period::millis(300),
            refresh_min: Period::millis(100),
            refresh_max: Period::millis(2_000),
            ..WatcherSpec::default()
        };
        Self::with(spec, factory, queue)
    }

    pub(crate) fn with(spec: WatcherSpec, factory: impl BrowserFactory + 'static, queue: &TestQueue) -> Self {
        let metrics = Metrics::new("watcher", "test").unwrap();
        let (sender, status) = watch::channel(WatcherStatus::default());
        let config = WatcherConfig {
            fleet: FleetName::new("fleet").unwrap(),
            spec,
            lanes: Lanes::new(&[]).unwrap(),
            seed: 1,
        };
        let means = Means {
            factory: Arc::new(factory),
            queue: Arc::new(queue.clone()),
            clock: Arc::new(TokioClock::new()),
            metrics: WatcherMetrics::new(&metrics).unwrap(),
            status: sender,
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(Watcher::new(config, means).run(stop.clone()));
        Self { metrics, status, stop, task }
    }

    pub(crate) fn status(&self) -> WatcherStatus {
        self.status.borrow().clone()
    }

    /// Waits until the watcher shows what is wanted; answers how long that took. Fails after ten virtual minutes.
    pub(crate) async fn until(&mut self, wanted: impl FnMut(&WatcherStatus) -> bool) -> Duration {
        let start = Instant::now();
        let seen = self.status.wait_for(wanted);
        let seen = scrapefleet_policy::within(Duration::from_mins(10), "what is wanted", seen).await;
        drop(seen.unwrap_or_else(|_| panic!("never seen")).unwrap());
        start.elapsed()
    }

    pub(crate) async fn until_state(&mut self, state: WatcherState) -> Duration {
        self.until(|status| status.state == state).await
    }

    /// Stops it in order; answers how long that took.
    pub(crate) async fn stop(mut self) -> Duration {
        let start = Instant::now();
        self.stop.cancel();
        (&mut self.task).await.unwrap();
        assert_eq!(self.status().state, WatcherState::Ended);
        start.elapsed()
    }

    /// Ends it as a crash does.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        assert!((&mut self.task).await.is_err());
    }

    /// The value of a metric, labels and all.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.render().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("scrapefleet_watcher_{name} ")));
        line.unwrap_or_else(|| panic!("no metric {name} in\n{text}")).parse().unwrap()
    }
}

/// Adds `count` items to the list, numbered from `first`.
pub(crate) fn add(site: &FakeSite, first: usize, count: usize) {
    for number in first..first + count {
        site.add(&id(number), scrapefleet_browser::fake::Life::endless());
    }
}

pub(crate) fn id(number: usize) -> String {
    format!("battle-gen9ou-{number}")
}

pub(crate) fn ids(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(id).collect()
}

/// Fails unless each of `expected` was published exactly once, and nothing else.
pub(crate) fn assert_published_once(queue: &TestQueue, expected: impl IntoIterator<Item = String>) {
    let published = queue.published();
    let distinct: BTreeSet<_> = published.iter().cloned().collect();
    assert_eq!(distinct.len(), published.len(), "something was published twice");
    let expected: BTreeSet<_> = expected.into_iter().collect();
    let (lost, added) =
        (expected.difference(&distinct).collect::<Vec<_>>(), distinct.difference(&expected).count());
    assert!(lost.is_empty() && added == 0, "lost {lost:?}, {added} that nobody showed");
}

/// Faults that leave the browser in place and fail one call.
pub(crate) const PASSING: [Fault; 4] =
    [Fault::Unusable, Fault::NotFound, Fault::SiteUnreachable, Fault::SiteRefuses];
