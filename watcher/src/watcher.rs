//! A watcher: what it is told, what it works with, and how it runs.

use std::sync::Arc;

use scrapefleet_api::{FleetName, lane::Lanes, watcher::WatcherSpec};
use scrapefleet_browser::BrowserFactory;
use scrapefleet_policy::{Clock, Jitter};
use scrapefleet_queue::TaskQueue;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    desk::Desk, looking::Looking, metrics::WatcherMetrics, queueing::Queueing, status::WatcherStatus,
};

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

/// Keeps the list open and queues every item it has not seen; see the [crate](crate).
pub struct Watcher {
    desk: Arc<Desk>,
    looking: Looking,
    queueing: Queueing,
}

impl Watcher {
    /// A watcher that has not started yet.
    #[must_use]
    pub fn new(config: WatcherConfig, means: Means) -> Self {
        let jitter = Jitter::seeded(config.seed);
        let desk = Arc::new(Desk::new(config, means));
        let looking = Looking::new(Arc::clone(&desk), jitter.clone());
        let queueing = Queueing::new(Arc::clone(&desk), jitter);
        Self { desk, looking, queueing }
    }

    /// Watches until told to stop; nothing else ends it. What was seen and not queued yet is queued first, if the queue
    /// takes it; then the lock is given back, so that another watcher takes over at once, and the browser is closed.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            never = self.looking.run() => match never {},
            never = self.queueing.run() => match never {},
        }
        self.queueing.end().await;
        self.looking.close().await;
        self.desk.end();
    }
}
