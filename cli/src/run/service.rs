//! The port of a run: /metrics, /livez, /readyz, /progressz and /status.

use std::{net::SocketAddr, time::Duration};

use scrapefleet_telemetry::{Check, Endpoints, Health, Heartbeat, Metrics, Progress, Server, Status};
use scrapefleet_worker::status::BotState;
use serde_json::Value;
use tokio::sync::watch;

use super::snapshot::Snapshot;
use crate::CliError;

/// The run looks at itself twice a second; when it has not for this long, it hangs.
const BEATS_WITHIN: Duration = Duration::from_secs(30);

/// The list is looked at every two seconds at least; a repair takes one launch and one load.
const LIST_ANSWERS_WITHIN: Duration = Duration::from_secs(90);

/// The port of a run.
pub(super) struct Service {
    server: Server,
    metrics: Metrics,
    status: watch::Sender<Value>,
    alive: Heartbeat,
    watcher: Check,
    bots: Check,
    list: Progress,
    refreshes: u64,
}

impl Service {
    /// Serves on a loopback port; 0 takes a free one.
    pub(super) async fn start(port: u16) -> Result<Self, CliError> {
        let metrics = Metrics::new("scrapefleet", env!("CARGO_PKG_VERSION"))
            .map_err(|error| CliError::Machine(error.to_string()))?;
        let health = Health::new();
        let (status, shown) = watch::channel(Value::Null);
        let alive = health.heartbeat("run", BEATS_WITHIN);
        let watcher = health.check("watcher", "starting");
        let bots = health.check("bots", "starting");
        let list = health.progress("list", LIST_ANSWERS_WITHIN);
        let endpoints = Endpoints { metrics: metrics.clone(), health, status: Status::watch(shown) };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let server = Server::start(address, endpoints).await?;
        Ok(Self { server, metrics, status, alive, watcher, bots, list, refreshes: 0 })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Shows what the run is doing, and draws from it whether it is well.
    pub(super) fn show(&mut self, snapshot: &Snapshot) {
        self.alive.beat();
        if snapshot.watcher.refreshes > self.refreshes {
            self.refreshes = snapshot.watcher.refreshes;
            self.list.made();
        }
        set(&self.watcher, snapshot.watcher.trouble());
        set(&self.bots, bots_trouble(snapshot));
        self.status.send_replace(serde_json::json!(snapshot));
    }

    pub(super) async fn stop(self) {
        self.server.stop().await;
    }
}

fn set(check: &Check, trouble: Option<String>) {
    match trouble {
        None => check.pass(),
        Some(why) => check.fail(why),
    }
}

/// Busy or full is well: only bots that cannot work count, and only when none can.
fn bots_trouble(snapshot: &Snapshot) -> Option<String> {
    if snapshot.bots.iter().any(|bot| bot.state == BotState::Working) {
        return None;
    }
    let said = snapshot.bots.iter().find_map(|bot| bot.last_reason.clone());
    Some(said.unwrap_or_else(|| "no bot works".to_owned()))
}
