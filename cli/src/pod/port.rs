//! The port of a pod: /metrics, /livez, /readyz, /progressz and /status.

use std::{
    net::{Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use scrapefleet_telemetry::{Check, Endpoints, Health, Metrics, Progress, Server, Status};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::watchdog::Mark;
use crate::CliError;

/// How often the process proves that it is alive.
const BEAT: Duration = Duration::from_millis(500);

/// When it has not for this long, it hangs: six beats are missing, and nothing in it takes its threads for a second.
const BEATS_WITHIN: Duration = Duration::from_secs(3);

/// The port of a pod, with its three signals of health.
pub(super) struct Port {
    server: Server,
    metrics: Metrics,
    status: watch::Sender<Value>,
    /// Whether it can take work.
    pub(super) ready: Check,
    /// Whether it gets somewhere.
    pub(super) progress: Progress,
    beats: Arc<AtomicU64>,
    beating: JoinHandle<()>,
}

impl Port {
    /// Serves on every address of the pod. `steps` is how long the program may get nowhere.
    pub(super) async fn open(program: &str, port: u16, steps: Duration) -> Result<Self, CliError> {
        let metrics = Metrics::new(program, env!("CARGO_PKG_VERSION"))
            .map_err(|error| CliError::Machine(error.to_string()))?;
        let health = Health::new();
        let (status, shown) = watch::channel(Value::Null);
        let (ready, progress) = (health.check(program, "starting"), health.progress(program, steps));
        let beat = health.heartbeat("process", BEATS_WITHIN);
        let endpoints = Endpoints { metrics: metrics.clone(), health, status: Status::watch(shown) };
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let server = Server::start(address, endpoints).await?;
        let beats = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&beats);
        let beating = tokio::spawn(async move {
            let mut ticks = interval(BEAT);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                beat.beat();
                counted.fetch_add(1, Relaxed);
            }
        });
        Ok(Self { server, metrics, status, ready, progress, beats, beating })
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The runtime itself, for the watchdog.
    pub(super) fn runtime(&self) -> Mark {
        let beats = Arc::clone(&self.beats);
        Mark { what: "the runtime", within: BEATS_WITHIN, count: Box::new(move || beats.load(Relaxed)) }
    }

    /// Shows what the pod is doing, and whether it can take work: `trouble` is why not.
    pub(super) fn show(&self, status: Value, trouble: Option<String>) {
        match trouble {
            None => self.ready.pass(),
            Some(why) => self.ready.fail(why),
        }
        self.status.send_replace(status);
    }

    pub(super) async fn close(self) {
        self.server.stop().await;
        self.beating.abort();
    }
}
