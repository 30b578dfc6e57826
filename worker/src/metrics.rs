//! What a bot counts for Prometheus.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGaugeVec, Opts, Registry};

/// What bots count for Prometheus; shared by all bots of a process.
#[derive(Debug, Clone)]
pub struct WorkerMetrics {
    /// `scrapefleet_worker_items_total{outcome}`: items finished, by outcome
    /// (`stored`, `already_stored`, `gone`, `dead`, `retried`, `released`).
    pub items: IntCounterVec,
    /// `scrapefleet_worker_abandoned_total{layer,reason}`: items and browsers thrown away.
    pub abandoned: IntCounterVec,
    /// `scrapefleet_worker_failures_total{step,fault}`: steps of the browser that failed.
    pub failures: IntCounterVec,
    /// `scrapefleet_worker_held{bot}`: items held.
    pub held: IntGaugeVec,
    /// `scrapefleet_worker_hold_seconds`: time from claim to stored.
    pub hold_seconds: Histogram,
    /// `scrapefleet_worker_probe_seconds`: time one probe of all held items took.
    pub probe_seconds: Histogram,
    /// `scrapefleet_worker_store_retries_total{error}`: puts and acknowledgements that had to be repeated.
    pub store_retries: IntCounterVec,
}

impl WorkerMetrics {
    /// Makes the metrics and registers them.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(format!("scrapefleet_worker_{name}"), help), labels)?;
            registry.register(Box::new(metric.clone())).map(|()| metric)
        };
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            let options = HistogramOpts::new(format!("scrapefleet_worker_{name}"), help).buckets(buckets);
            let metric = Histogram::with_opts(options)?;
            registry.register(Box::new(metric.clone())).map(|()| metric)
        };
        let held = IntGaugeVec::new(Opts::new("scrapefleet_worker_held", "Items held now"), &["bot"])?;
        registry.register(Box::new(held.clone()))?;
        Ok(Self {
            items: counter("items_total", "Items finished, by outcome", &["outcome"])?,
            abandoned: counter("abandoned_total", "What was thrown away, and why", &["layer", "reason"])?,
            failures: counter("failures_total", "Steps of the browser that failed", &["step", "fault"])?,
            store_retries: counter("store_retries_total", "Puts and acks that were repeated", &["error"])?,
            // From 2 s to 45 min is what items are held.
            hold_seconds: histogram(
                "hold_seconds",
                "Time from claim to stored",
                vec![2.0, 5.0, 15.0, 60.0, 180.0, 420.0, 900.0, 1800.0, 2700.0, 5400.0],
            )?,
            probe_seconds: histogram(
                "probe_seconds",
                "Time one probe of all held items took",
                vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0],
            )?,
            held,
        })
    }
}
