//! Looking at the list, queueing what is new, repairing what does not answer.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use scrapefleet_api::{FleetName, ItemId, lane::Lanes, watcher::WatcherSpec};
use scrapefleet_browser::{BrowserFactory, Item, ListPage, StepError, Window};
use scrapefleet_policy::{Clock, Jitter, within};
use scrapefleet_queue::{LockGuard, Task, TaskQueue, task::SCHEMA_VERSION};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::WatcherMetrics,
    overlap::{Overlap, overlap},
    pace::{Look, Pace},
    recent::Recent,
    repair::{Remedy, Repair},
    status::{WatcherState, WatcherStatus},
};

/// The name of the lock that decides which watcher is the active one.
const LOCK: &str = "watcher";

/// How long one call of the queue may take; while it does, the list is not looked at.
const QUEUE: Duration = Duration::from_secs(5);

/// The most tasks published in one call.
const BATCH: usize = 500;

/// How often a standby asks for the lock: a take-over takes no longer than this and one look.
const TAKE_OVER: Duration = Duration::from_millis(500);

/// What a watcher is told to do.
#[derive(Debug, Clone)]
pub struct WatcherConfig {
    /// The fleet it works for.
    pub fleet: FleetName,
    /// Its part of the manifest.
    pub spec: WatcherSpec,
    /// The fleet's lanes.
    pub lanes: Lanes,
    /// Seed of its randomness, which only jitters pauses.
    pub seed: u64,
}

/// What a watcher works with.
#[derive(Debug, Clone)]
pub struct Means {
    /// Makes its browser.
    pub factory: Arc<dyn BrowserFactory>,
    /// Where tasks go.
    pub queue: Arc<dyn TaskQueue>,
    /// Wall-clock time, for the moment of discovery.
    pub clock: Arc<dyn Clock>,
    /// What it counts for Prometheus.
    pub metrics: WatcherMetrics,
    /// What it shows of itself.
    pub status: watch::Sender<WatcherStatus>,
}

/// Keeps the list open and queues every item it has not seen.
pub struct Watcher {
    config: WatcherConfig,
    means: Means,
    list: Option<Box<dyn ListPage>>,
    lock: Option<Box<dyn LockGuard>>,
    recent: Recent,
    /// What was seen and is not confirmed by the queue yet, oldest first.
    unpublished: VecDeque<Task>,
    before: Option<BTreeSet<ItemId>>,
    pace: Pace,
    repair: Repair,
    jitter: Jitter,
    status: WatcherStatus,
}

impl Watcher {
    /// A watcher that has not started yet.
    #[must_use]
    pub fn new(config: WatcherConfig, means: Means) -> Self {
        Self {
            list: None,
            lock: None,
            recent: Recent::new(usize::try_from(config.spec.recent).unwrap_or(0)),
            unpublished: VecDeque::new(),
            before: None,
            pace: Pace::new(&config.spec),
            repair: Repair::default(),
            jitter: Jitter::seeded(config.seed),
            status: WatcherStatus::default(),
            config,
            means,
        }
    }

    /// Watches until told to stop. What was seen and not queued yet is queued first, if the queue takes it.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                pause = self.step() => {
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
        self.publish().await;
        if let Some(list) = self.list.take() {
            list.close().await;
        }
        self.lock = None;
        self.status.process_id = None;
        self.show(WatcherState::Ended);
    }

    /// One look, or one repair; answers how long to pause.
    async fn step(&mut self) -> Duration {
        self.take_lock().await;
        let looked = match self.list.as_mut() {
            Some(list) => look(list.as_mut(), &self.means.metrics).await,
            None => return self.open().await,
        };
        match looked {
            Ok(window) => self.see(window).await,
            Err(error) => self.mend(&error).await,
        }
    }

    async fn take_lock(&mut self) {
        if self.lock.as_ref().is_some_and(|lock| lock.held()) {
            return;
        }
        let free = within(QUEUE, "take the watcher's lock", self.means.queue.try_lock(LOCK)).await;
        self.lock = match free {
            Ok(Ok(lock)) => lock,
            Ok(Err(error)) => {
                self.status.last_reason = Some(error.to_string());
                None
            }
            Err(expired) => {
                self.status.last_reason = Some(expired.to_string());
                None
            }
        };
        if self.lock.is_some() {
            // What the one before queued last is not known here: the whole window is queued again, harmlessly.
            self.recent.clear();
            tracing::info!(fleet = %self.config.fleet, "this watcher is the active one");
        }
        self.means.metrics.active.set(i64::from(self.lock.is_some()));
    }

    async fn open(&mut self) -> Duration {
        if self.repair.failures() > 0 {
            self.show(WatcherState::Repairing);
        }
        match self.means.factory.list_page().await {
            Ok(list) => {
                self.status.process_id = list.process_id();
                self.list = Some(list);
                Duration::ZERO
            }
            Err(error) => self.mend(&error).await,
        }
    }

    /// Queues what is new in `window`, and says how soon to look again.
    async fn see(&mut self, window: Window) -> Duration {
        self.repair.done();
        self.count_unreadable(&window);
        self.status.refreshes += 1;
        self.status.window = window.items.len();
        if self.lock.is_none() {
            self.show(WatcherState::Standby);
            return TAKE_OVER;
        }
        let shown: BTreeSet<ItemId> = window.items.iter().map(|item| item.id.clone()).collect();
        let overlap = overlap(self.before.as_ref(), &shown, window.limit);
        self.count_gap(overlap, &shown);
        let news = self.keep_unseen(window.items);
        self.before = Some(shown);
        let published = self.publish().await;
        self.show(if published { WatcherState::Watching } else { WatcherState::QueueUnreachable });
        self.pace.after(Look { overlap, news, throttled: window.throttled })
    }

    /// Keeps what was not seen before until the queue has it; the list shows the newest first. What finds no room is
    /// not remembered either, and seen again at the next look.
    fn keep_unseen(&mut self, items: Vec<Item>) -> bool {
        let room = usize::try_from(self.config.spec.recent).unwrap_or(0).saturating_sub(self.unpublished.len());
        let waiting: BTreeSet<_> = self.unpublished.iter().map(|task| task.id.clone()).collect();
        let unseen = |item: &Item| !self.recent.contains(&item.id) && !waiting.contains(&item.id);
        let new: Vec<_> = items.into_iter().rev().filter(unseen).take(room).collect();
        let news = !new.is_empty();
        let tasks: Vec<_> = new.into_iter().map(|item| self.task(item)).collect();
        self.unpublished.extend(tasks);
        news
    }

    fn task(&self, Item { id, url }: Item) -> Task {
        Task {
            schema_version: SCHEMA_VERSION,
            fleet: self.config.fleet.clone(),
            lane: self.config.lanes.lane_for(&id).name.clone(),
            id,
            url,
            discovered_at: self.means.clock.now(),
            attempt: 1,
            deadline: None,
            last_failure: None,
            extra: serde_json::Map::new(),
        }
    }

    /// Queues what waits for it; says whether nothing waits any more. An item is remembered only once the queue has
    /// confirmed it.
    async fn publish(&mut self) -> bool {
        while !self.unpublished.is_empty() {
            let batch: Vec<Task> = self.unpublished.iter().take(BATCH).cloned().collect();
            let taken = batch.len();
            let published = within(QUEUE, "publish", self.means.queue.publish(batch)).await;
            let why = match published {
                Ok(Ok(published)) => {
                    self.confirmed(taken, published);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(expired) => expired.to_string(),
            };
            tracing::warn!(waiting = self.unpublished.len(), why, "not queued; kept and tried again");
            self.means.metrics.publish_failures.inc();
            self.status.last_reason = Some(why);
            break;
        }
        self.status.unpublished = self.unpublished.len();
        self.means.metrics.unpublished.set(i64::try_from(self.unpublished.len()).unwrap_or(i64::MAX));
        self.unpublished.is_empty()
    }

    fn confirmed(&mut self, taken: usize, published: scrapefleet_queue::Published) {
        for task in self.unpublished.drain(..taken) {
            self.recent.insert(task.id);
        }
        self.status.discovered += published.new as u64;
        self.status.known += published.known as u64;
        self.means.metrics.discovered.inc_by(published.new as u64);
    }

    fn count_gap(&mut self, overlap: Overlap, shown: &BTreeSet<ItemId>) {
        // A window of known items only is no gap, whatever the one before showed: the list went back in time.
        if overlap == Overlap::Gap && !shown.iter().any(|item| self.recent.contains(item)) {
            self.status.gaps += 1;
            self.means.metrics.gaps.inc();
            tracing::warn!("the list is full and shares nothing with the window before: items may have been missed");
        }
    }

    fn count_unreadable(&self, window: &Window) {
        if let Some(first) = window.unreadable.first() {
            self.means.metrics.unreadable.inc_by(window.unreadable.len() as u64);
            tracing::debug!(entries = window.unreadable.len(), first, "entries that the id pattern does not fit");
        }
    }

    /// Repairs the list; answers how long to pause before it is tried.
    async fn mend(&mut self, error: &StepError) -> Duration {
        let (remedy, pause) = self.repair.after(error, self.jitter.draw());
        tracing::warn!(%error, ?remedy, ?pause, "the list does not answer and is repaired");
        let labels = [format!("{:?}", error.fault), format!("{remedy:?}")];
        self.means.metrics.repairs.with_label_values(&[&labels[0], &labels[1]]).inc();
        self.status.repairs += 1;
        self.status.last_reason = Some(error.to_string());
        self.show(WatcherState::Repairing);
        // What waits is not held up by a list that is down.
        self.publish().await;
        tokio::time::sleep(pause).await;
        match (remedy, self.list.take()) {
            (Remedy::Reload, Some(mut list)) => {
                let reloaded = list.reload().await;
                self.list = Some(list);
                reloaded.map_or_else(|error| self.note(&error), |()| Duration::ZERO)
            }
            (Remedy::Rebuild, Some(list)) => {
                list.close().await;
                self.status.process_id = None;
                Duration::ZERO
            }
            (_, None) => Duration::ZERO,
        }
    }

    /// A repair that did not help: the next look will say so too, and be counted.
    fn note(&mut self, error: &StepError) -> Duration {
        tracing::info!(%error, "loading the list anew did not help");
        self.status.last_reason = Some(error.to_string());
        Duration::ZERO
    }

    fn show(&mut self, state: WatcherState) {
        self.status.state = state;
        self.status.pause_ms = u64::try_from(self.pace.pause().as_millis()).unwrap_or(u64::MAX);
        self.means.status.send_replace(self.status.clone());
    }
}

async fn look(list: &mut dyn ListPage, metrics: &WatcherMetrics) -> Result<Window, StepError> {
    let asked = Instant::now();
    let window = list.refresh().await?;
    metrics.refresh_seconds.observe(asked.elapsed().as_secs_f64());
    Ok(window)
}
