//! The port of a pod: /metrics, /livez, /readyz, /progressz and /status.

use std::{
    net::{Ipv6Addr, SocketAddr},
    time::Duration,
};

use scrapefleet_telemetry::{Check, Endpoints, Health, Metrics, Progress, Server, Status};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::CliError;

/// How often the process proves that it is alive.
const BEAT: Duration = Duration::from_millis(500);

/// When it has not for this long, it hangs.
const BEATS_WITHIN: Duration = Duration::from_secs(10);

/// When no step was finished for this long, nothing moves: the longest is starting a browser, which has a minute.
const STEPS_WITHIN: Duration = Duration::from_secs(90);

/// The port of a pod, with its three signals of health.
pub(super) struct Port {
    server: Server,
    metrics: Metrics,
    status: watch::Sender<Value>,
    /// Whether it can take work.
    pub(super) ready: Check,
    /// Whether it gets somewhere.
    pub(super) progress: Progress,
    beating: JoinHandle<()>,
}

impl Port {
    /// Serves on every address of the pod.
    pub(super) async fn open(program: &str, port: u16) -> Result<Self, CliError> {
        let broken = |error: &dyn std::fmt::Display| CliError::Machine(error.to_string());
        let metrics = Metrics::new(program, env!("CARGO_PKG_VERSION")).map_err(|error| broken(&error))?;
        let health = Health::new();
        let (status, shown) = watch::channel(Value::Null);
        let (ready, progress) = (health.check(program, "starting"), health.progress(program, STEPS_WITHIN));
        let beat = health.heartbeat("process", BEATS_WITHIN);
        let endpoints = Endpoints { metrics: metrics.clone(), health, status: Status::watch(shown) };
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let server = Server::start(address, endpoints).await.map_err(|error| broken(&error))?;
        let beating = tokio::spawn(async move {
            let mut beats = interval(BEAT);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                beats.tick().await;
                beat.beat();
            }
        });
        Ok(Self { server, metrics, status, ready, progress, beating })
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
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
        self.beating.abort();
        self.server.stop().await;
    }
}
