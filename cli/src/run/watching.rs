//! The watcher of a run.
//!
//! There is one, whatever the manifest says of a standby: on one machine both would go down together.

use std::{sync::Arc, time::Duration};

use scrapefleet_api::watcher::WatcherSpec;
use scrapefleet_browser::BrowserFactory;
use scrapefleet_policy::{Clock, within};
use scrapefleet_queue::TaskQueue;
use scrapefleet_telemetry::Metrics;
use scrapefleet_watcher::{Means, Watcher, WatcherConfig, WatcherMetrics, WatcherStatus};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{CliError, fleet::Fleet};

/// The watcher of a run.
pub(super) struct Watching {
    task: JoinHandle<()>,
    stop: CancellationToken,
    status: watch::Receiver<WatcherStatus>,
}

impl Watching {
    /// Starts the watcher.
    pub(super) fn start(
        fleet: &Fleet,
        factory: Arc<dyn BrowserFactory>,
        queue: Arc<dyn TaskQueue>,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<Self, CliError> {
        let metrics = WatcherMetrics::new(metrics).map_err(|error| CliError::Machine(error.to_string()))?;
        let config = WatcherConfig {
            fleet: fleet.name.clone(),
            spec: WatcherSpec { standby: false, ..fleet.spec.watcher.clone() },
            lanes: fleet.lanes.clone(),
            seed: 0,
        };
        let (sender, status) = watch::channel(WatcherStatus::default());
        let stop = CancellationToken::new();
        let watcher = Watcher::new(config, Means { factory, queue, clock, metrics, status: sender });
        Ok(Self { task: tokio::spawn(watcher.run(stop.clone())), stop, status })
    }

    pub(super) fn status(&self) -> WatcherStatus {
        self.status.borrow().clone()
    }

    /// Waits until the watcher ends, which it does only by failing, and says why.
    pub(super) async fn ended(&mut self) -> String {
        match (&mut self.task).await {
            Ok(()) => "the watcher ended".to_owned(),
            Err(error) => format!("the watcher failed: {error}"),
        }
    }

    /// Stops the watcher; what it does not finish within `limit` is dropped, and its browser with it.
    pub(super) async fn stop(&mut self, limit: Duration) {
        self.stop.cancel();
        if self.task.is_finished() {
            return;
        }
        if within(limit, "stop the watcher", &mut self.task).await.is_err() {
            tracing::warn!(?limit, "the watcher did not stop in time");
            self.task.abort();
        }
    }
}
