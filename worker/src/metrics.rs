//! What a bot counts for Prometheus.

use prometheus::{Histogram, IntCounterVec, IntGaugeVec};
use scrapefleet_telemetry::{Metrics, MetricsError};

/// What bots count for Prometheus; shared by all bots of a process.
#[derive(Debug, Clone)]
pub struct WorkerMetrics {
    /// `scrapefleet_worker_items_total{outcome}`: items finished, by outcome
    /// (`stored`, `already_stored`, `gone`, `dead`, `retried`, `released`), and tasks that the queue had beside the
    /// item's own (`repeated`).
    pub items: IntCounterVec,
    /// `scrapefleet_worker_abandoned_total{layer,reason}`: items and browsers thrown away.
    pub abandoned: IntCounterVec,
    /// `scrapefleet_worker_failures_total{step,fault}`: steps of the browser that failed.
    pub failures: IntCounterVec,
    /// `scrapefleet_worker_slow_steps_total{step}`: steps of the browser that took longer than `policies.step.soft`, from when
    /// their turn had come; those that failed later too. Not of a browser that did not start.
    pub slow_steps: IntCounterVec,
    /// `scrapefleet_worker_held{bot}`: items held.
    pub held: IntGaugeVec,
    /// `scrapefleet_worker_hold_seconds`: time from claim to stored.
    pub hold_seconds: Histogram,
    /// `scrapefleet_worker_probe_seconds`: time one probe of all held items took.
    pub probe_seconds: Histogram,
    /// `scrapefleet_worker_repeats_total{what}`: puts and finishes of tasks that had to be repeated.
    pub repeats: IntCounterVec,
    /// `scrapefleet_worker_post_mortems_total{outcome}`: post-mortems of abandoned browsers, by outcome (`written`, and
    /// those left out: `limited` by the hour, `busy` with others, `failed` to be stored).
    pub post_mortems: IntCounterVec,
}

impl WorkerMetrics {
    /// Makes the metrics and registers them.
    pub fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        Ok(Self {
            items: metrics.counter_vec("worker_items_total", "Items finished, by outcome.", &["outcome"])?,
            abandoned: metrics.counter_vec(
                "worker_abandoned_total",
                "What was thrown away, and why.",
                &["layer", "reason"],
            )?,
            failures: metrics.counter_vec(
                "worker_failures_total",
                "Steps of the browser that failed.",
                &["step", "fault"],
            )?,
            slow_steps: metrics.counter_vec(
                "worker_slow_steps_total",
                "Steps of the browser that took longer than policies.step.soft.",
                &["step"],
            )?,
            repeats: metrics.counter_vec(
                "worker_repeats_total",
                "Puts and finishes that had to be repeated.",
                &["what"],
            )?,
            post_mortems: metrics.counter_vec(
                "worker_post_mortems_total",
                "Post-mortems of abandoned browsers, written and left out.",
                &["outcome"],
            )?,
            held: metrics.int_gauge_vec("worker_held", "Items held now.", &["bot"])?,
            // From 2 s to 45 min is what items are held.
            hold_seconds: metrics.histogram(
                "worker_hold_seconds",
                "Time from claim to stored.",
                &[2.0, 5.0, 15.0, 60.0, 180.0, 420.0, 900.0, 1800.0, 2700.0, 5400.0],
            )?,
            probe_seconds: metrics.histogram(
                "worker_probe_seconds",
                "Time one probe of all held items took.",
                &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0],
            )?,
        })
    }
}
