//! What a watcher counts for Prometheus.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};
use scrapefleet_telemetry::{Metrics, MetricsError};

/// What a watcher counts for Prometheus.
#[derive(Debug, Clone)]
pub struct WatcherMetrics {
    /// `scrapefleet_watcher_discovered_total`: items queued that were not known to the queue.
    pub discovered: IntCounter,
    /// `scrapefleet_watcher_gaps_total`: full windows that showed nothing known, so that items may have been missed.
    pub gaps: IntCounter,
    /// `scrapefleet_watcher_repairs_total{fault,remedy}`: repairs of the list.
    pub repairs: IntCounterVec,
    /// `scrapefleet_watcher_slow_steps_total{step}`: looks at the list and loads of it that took longer than
    /// `policies.step.soft`, from when their turn had come; those that failed later too. Not of a browser that did not start.
    pub slow_steps: IntCounterVec,
    /// `scrapefleet_watcher_publish_failures_total`: publishes that failed; what they held is kept and tried again.
    pub publish_failures: IntCounter,
    /// `scrapefleet_watcher_unreadable_total`: different entries of the list that the recipe's id pattern did not fit.
    pub unreadable: IntCounter,
    /// `scrapefleet_watcher_refresh_seconds`: time from asking the list to its answer.
    pub refresh_seconds: Histogram,
    /// `scrapefleet_watcher_throttled_total`: looks at which the site said that it drops what is asked too fast.
    pub throttled: IntCounter,
    /// `scrapefleet_watcher_deferred_total`: times an item was seen while too many waited for the queue.
    pub deferred: IntCounter,
    /// `scrapefleet_watcher_overlap`: items that the last window shared with the one before.
    pub overlap: IntGauge,
    /// `scrapefleet_watcher_active`: 1 while this watcher is the active one.
    pub active: IntGauge,
    /// `scrapefleet_watcher_unpublished`: items seen that could not be queued yet.
    pub unpublished: IntGauge,
}

impl WatcherMetrics {
    /// Makes the metrics and registers them.
    pub fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        Ok(Self {
            discovered: metrics
                .counter("watcher_discovered_total", "Items queued that were not known to the queue.")?,
            gaps: metrics.counter(
                "watcher_gaps_total",
                "Full windows that showed nothing known: items may have been missed.",
            )?,
            repairs: metrics.counter_vec(
                "watcher_repairs_total",
                "Repairs of the list.",
                &["fault", "remedy"],
            )?,
            slow_steps: metrics.counter_vec(
                "watcher_slow_steps_total",
                "Steps of the list that took longer than policies.step.soft.",
                &["step"],
            )?,
            publish_failures: metrics.counter("watcher_publish_failures_total", "Publishes that failed.")?,
            unreadable: metrics
                .counter("watcher_unreadable_total", "Entries that the id pattern did not fit.")?,
            // 1 ms is what a site on this machine takes, 5 s is when a refresh has failed.
            refresh_seconds: metrics.histogram(
                "watcher_refresh_seconds",
                "Time from asking the list to its answer.",
                &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0],
            )?,
            throttled: metrics
                .counter("watcher_throttled_total", "Looks at which the site asked for a slower pace.")?,
            deferred: metrics
                .counter("watcher_deferred_total", "Sightings while too many items waited for the queue.")?,
            overlap: metrics
                .int_gauge("watcher_overlap", "Items that the last window shared with the one before.")?,
            active: metrics.int_gauge("watcher_active", "1 while this watcher is the active one.")?,
            unpublished: metrics
                .int_gauge("watcher_unpublished", "Items seen that could not be queued yet.")?,
        })
    }
}
