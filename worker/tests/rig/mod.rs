//! A bot on a scripted site, a queue and a store in memory, in virtual time.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use scrapefleet_api::{
    FleetName, ItemId, LaneName,
    fleet::{DrainMode, DrainSpec},
    inspect::{Completeness, Inspect},
    policies::{AbandonmentSpec, BreakerSpec},
    store::Compression,
};
use scrapefleet_browser::{BrowserFactory, Item, fake::FakeSite};
use scrapefleet_policy::{Backoff, Clock, Retry};
use scrapefleet_queue::{Depth, Lane, Task, TaskQueue, memory::Memory, task::SCHEMA_VERSION};
use scrapefleet_store::{Artifact, ArtifactStore, Key, KeyTemplate, MemoryStore};
use scrapefleet_telemetry::Metrics;
use scrapefleet_worker::{
    Bot, BotConfig, BotExit, BotStatus, Parts, Signals, Steps, Tally, Totals, WorkerMetrics,
    config::ArtifactRules, judgement::HoldLimits,
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

/// Complete when it ends with a full stop, late when with three, broken when with a question mark.
#[derive(Debug)]
struct Punctuation;

impl Inspect for Punctuation {
    fn completeness(&self, _: &ItemId, artifact: &[u8]) -> Completeness {
        if artifact.ends_with(b"...") {
            Completeness::Late("more may come".to_owned())
        } else if artifact.ends_with(b"?") {
            Completeness::Broken("a question".to_owned())
        } else {
            Completeness::Complete
        }
    }
}

/// Wall-clock time that goes with tokio's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.0.elapsed()
    }
}

pub(crate) struct Rig {
    pub(crate) site: FakeSite,
    /// Makes the bots' browsers.
    pub(crate) factory: Arc<dyn BrowserFactory>,
    pub(crate) queue: Memory,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) tally: Tally,
    pub(crate) clock: VirtualClock,
    pub(crate) config: BotConfig,
    published: Mutex<u64>,
}

pub(crate) fn fleet() -> FleetName {
    FleetName::new("fleet").unwrap()
}

pub(crate) fn config() -> BotConfig {
    BotConfig {
        slot: 0,
        fleet: fleet(),
        holds: 10,
        lanes: vec![Lane { name: LaneName::default(), weight: 1 }],
        probe: Duration::from_secs(3),
        limits: HoldLimits { soft: Duration::from_mins(50), hard: Duration::from_mins(90), reopenings: 8 },
        complete_within: Duration::from_secs(10),
        retry: Retry::times(3).backoff(Backoff::from(Duration::from_secs(1)).to(Duration::from_mins(1))),
        open_in_tab: true,
        abandonment: AbandonmentSpec::default(),
        breaker: BreakerSpec::default(),
        drain: DrainSpec { mode: DrainMode::Release, ..DrainSpec::default() },
        artifacts: ArtifactRules {
            key: KeyTemplate::new("logs/{id}", &[]).unwrap(),
            groups: Arc::new(|_| BTreeMap::new()),
            content_type: "text/plain".to_owned(),
            compression: Compression::None,
            complete_when: Vec::new(),
            inspect: Some(Arc::new(Punctuation)),
        },
        seed: 7,
    }
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::on(FakeSite::new().with_latency(Duration::from_millis(20)))
    }

    pub(crate) fn on(site: FakeSite) -> Self {
        let clock = VirtualClock(Instant::now());
        let queue = Memory::new(Arc::new(move || clock.now()), 100);
        Self {
            factory: Arc::new(site.clone()),
            site,
            queue,
            store: Arc::default(),
            tally: Tally::default(),
            clock,
            config: config(),
            published: Mutex::default(),
        }
    }

    /// The same with a queue that knows nothing.
    pub(crate) fn with_new_queue(self) -> Self {
        Self { queue: Self::new().queue, published: Mutex::default(), ..self }
    }

    /// Starts a bot.
    pub(crate) fn start(&self) -> Running {
        self.start_as(|bot| bot)
    }

    pub(crate) fn start_limited(&self, limit: watch::Receiver<usize>) -> Running {
        self.start_as(|bot| bot.limited_to(limit))
    }

    fn start_as(&self, limit: impl FnOnce(Bot) -> Bot) -> Running {
        let (status, seen) = watch::channel(BotStatus::starting(self.config.slot, self.config.holds));
        let metrics = WorkerMetrics::new(&Metrics::new("test", "0").unwrap()).unwrap();
        let parts = Parts {
            factory: Arc::clone(&self.factory),
            queue: Arc::new(self.queue.clone()),
            store: self.store.clone(),
            tally: self.tally.clone(),
            metrics: metrics.clone(),
            clock: Arc::new(self.clock),
            status,
        };
        let (signals, steps) = (Signals::default(), Steps::default());
        let bot = limit(Bot::new(self.config.clone(), parts)).counted_by(steps.clone());
        let bot = tokio::spawn(bot.run(signals.clone()));
        Running { bot, signals, seen, steps, metrics }
    }

    pub(crate) async fn publish(&self, items: &[Item]) {
        *self.published.lock().unwrap() += items.len() as u64;
        let tasks = items.iter().map(|item| self.task(item)).collect();
        self.queue.publish(tasks).await.unwrap();
    }

    pub(crate) fn task(&self, item: &Item) -> Task {
        Task {
            schema_version: SCHEMA_VERSION,
            fleet: fleet(),
            id: item.id.clone(),
            url: item.url.clone(),
            lane: LaneName::default(),
            discovered_at: self.clock.now(),
            attempt: 1,
            deadline: None,
            last_failure: None,
            extra: serde_json::Map::default(),
        }
    }

    pub(crate) async fn depth(&self) -> Depth {
        self.queue.depth().await.unwrap()
    }

    /// Tasks that have not ended.
    pub(crate) async fn unfinished(&self) -> u64 {
        let depth = self.depth().await;
        depth.ready + depth.held + depth.delayed
    }

    pub(crate) fn totals(&self) -> Totals {
        self.tally.totals()
    }

    /// Waits, in virtual time, until `condition` holds.
    pub(crate) async fn until(&self, what: &str, limit: Duration, condition: impl Fn(&Totals) -> bool) {
        let end = Instant::now() + limit;
        while !condition(&self.totals()) {
            assert!(Instant::now() < end, "not {what} within {limit:?}: {:?}", self.totals());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the queue has no unfinished task and every end is counted.
    pub(crate) async fn until_done(&self, limit: Duration) {
        let end = Instant::now() + limit;
        loop {
            let depth = self.depth().await;
            let totals = self.totals();
            let ended = totals.stored + totals.already_stored + totals.gone + totals.dead;
            let published = *self.published.lock().unwrap();
            if depth.ready + depth.held + depth.delayed == 0 && ended == published {
                return;
            }
            assert!(Instant::now() < end, "not done within {limit:?}: {depth:?}, {:?}", self.totals());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn artifact(&self, id: &ItemId) -> Option<Artifact> {
        self.store.get(&Key::new(format!("logs/{id}")).unwrap()).await.unwrap()
    }
}

pub(crate) struct Running {
    pub(crate) bot: JoinHandle<BotExit>,
    pub(crate) signals: Signals,
    pub(crate) seen: watch::Receiver<BotStatus>,
    pub(crate) steps: Steps,
    pub(crate) metrics: WorkerMetrics,
}

impl Running {
    pub(crate) async fn drain(self) -> BotExit {
        self.signals.drain.cancel();
        self.bot.await.unwrap()
    }

    /// Sees to it that the bot finishes a step at least every `within`, for so long.
    pub(crate) async fn steps_on(&self, within: Duration, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let before = self.steps.finished();
            tokio::time::sleep(within).await;
            assert!(self.steps.finished() > before, "no step within {within:?}: {:?}", *self.seen.borrow());
        }
    }

    /// Waits until `condition` holds of the bot's status.
    pub(crate) async fn sees(&mut self, what: &str, limit: Duration, condition: impl Fn(&BotStatus) -> bool) {
        let seen = scrapefleet_policy::within(limit, "see", self.seen.wait_for(|status| condition(status)))
            .await
            .map(|seen| seen.map(|status| status.clone()));
        assert!(matches!(seen, Ok(Ok(_))), "not {what} within {limit:?}: {:?}", *self.seen.borrow());
    }
}
