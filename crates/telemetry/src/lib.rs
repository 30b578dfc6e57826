//! Logging, metrics registry and health endpoints.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use scrapefleet_telemetry::{Endpoints, Health, Metrics, Server, Status, logging};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! logging::init(logging::Format::Text, "info")?;
//! let metrics = Metrics::new("bot", env!("CARGO_PKG_VERSION"))?;
//! let health = Health::new();
//! let beat = health.heartbeat("event loop", Duration::from_secs(10));
//! let queue = health.check("queue", "not connected yet");
//! let held = metrics.gauge("held", "Items held now.")?;
//!
//! let status = Status::of(|| serde_json::json!({ "bots": [] }));
//! let server = Server::start("127.0.0.1:9600".parse()?, Endpoints { metrics, health, status }).await?;
//! queue.pass();
//! beat.beat();
//! held.set(2.0);
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

mod connection;
mod endpoints;
mod escape;
mod health;
mod metrics;
mod server;
mod status;

pub mod logging;

pub use endpoints::Endpoints;
pub use escape::escape;
pub use health::{Check, Condition, Health, Heartbeat, Progress, Report};
pub use metrics::{Metrics, MetricsError};
pub use server::{ServeError, Server};
pub use status::Status;
