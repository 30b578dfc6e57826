//! The metrics of a program.

use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

/// What every metric's name begins with.
const PREFIX: &str = "scrapefleet";

/// A registry in which every name begins with `scrapefleet_`. Clones share it.
///
/// Each metric is made once and shared by those who count: making it again is an error.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Metrics under the names that others know them by.
    as_named: Registry,
}

/// A metric could not be made, or the metrics could not be shown.
#[derive(Debug, thiserror::Error)]
#[error("metric `{PREFIX}_{name}`: {source}")]
pub struct MetricsError {
    name: String,
    source: prometheus::Error,
}

impl Metrics {
    /// A registry with `scrapefleet_build_info{program, version} 1`.
    pub fn new(program: &str, version: &str) -> Result<Self, MetricsError> {
        let registry = Registry::new_custom(Some(PREFIX.to_owned()), None).map_err(because_of("registry"))?;
        let metrics = Self { registry, as_named: Registry::new() };
        let build = metrics.gauge_vec(
            "build_info",
            "Always 1; the labels say what runs.",
            &["program", "version"],
        )?;
        build.with_label_values(&[program, version]).set(1.0);
        Ok(metrics)
    }

    /// A count of whole things. Its name ends in `_total`.
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
        self.add(name, IntCounter::new(name, help))
    }

    /// Counts of whole things, one for each combination of label values. The name ends in `_total`.
    pub fn counter_vec(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, MetricsError> {
        self.add(name, IntCounterVec::new(Opts::new(name, help), labels))
    }

    /// A sum of parts, for example of seconds. Its name ends in `_total`.
    pub fn sum(&self, name: &str, help: &str) -> Result<Counter, MetricsError> {
        self.add(name, Counter::new(name, help))
    }

    /// Something that goes up and down.
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, MetricsError> {
        self.add(name, Gauge::new(name, help))
    }

    /// Something that goes up and down, one for each combination of label values.
    pub fn gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, MetricsError> {
        self.add(name, GaugeVec::new(Opts::new(name, help), labels))
    }

    /// A number of whole things that goes up and down.
    pub fn int_gauge(&self, name: &str, help: &str) -> Result<IntGauge, MetricsError> {
        self.add(name, IntGauge::new(name, help))
    }

    /// Numbers of whole things that go up and down, one for each combination of label values.
    pub fn int_gauge_vec(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, MetricsError> {
        self.add(name, IntGaugeVec::new(Opts::new(name, help), labels))
    }

    /// How something is distributed over `buckets` (upper bounds, rising). The name ends in its unit, `_seconds` or
    /// `_bytes`.
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, MetricsError> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(name, Histogram::with_opts(options))
    }

    /// How something is distributed, one for each combination of label values; see [`histogram`](Self::histogram).
    pub fn histogram_vec(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, MetricsError> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(name, HistogramVec::new(options, labels))
    }

    /// Adds metrics that are collected when they are asked for. The name is for the error only.
    pub fn collect(&self, name: &str, collector: impl Collector + 'static) -> Result<(), MetricsError> {
        self.registry.register(Box::new(collector)).map_err(because_of(name))
    }

    /// Adds metrics under the names they have, without the prefix: for names that existing dashboards know.
    pub fn collect_as_named(&self, collector: impl Collector + 'static) -> Result<(), MetricsError> {
        self.as_named.register(Box::new(collector)).map_err(because_of("(as named)"))
    }

    /// All metrics in Prometheus's text format.
    pub fn render(&self) -> Result<String, MetricsError> {
        let mut all = self.registry.gather();
        all.extend(self.as_named.gather());
        TextEncoder::new().encode_to_string(&all).map_err(because_of("all"))
    }

    fn add<M>(&self, name: &str, metric: prometheus::Result<M>) -> Result<M, MetricsError>
    where
        M: Collector + Clone + 'static,
    {
        let metric = metric.map_err(because_of(name))?;
        self.collect(name, metric.clone())?;
        Ok(metric)
    }
}

impl From<prometheus::Error> for MetricsError {
    fn from(source: prometheus::Error) -> Self {
        because_of("(as named)")(source)
    }
}

pub(crate) fn because_of(name: &str) -> impl FnOnce(prometheus::Error) -> MetricsError {
    let name = name.to_owned();
    move |source| MetricsError { name, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        Metrics::new("bot", "1.2.3").unwrap()
    }

    #[test]
    fn every_name_has_the_prefix() {
        let metrics = metrics();
        metrics.counter("stored_total", "Stored.").unwrap().inc_by(3);
        metrics.gauge_vec("depth", "Depth.", &["lane"]).unwrap().with_label_values(&["fast"]).set(2.5);
        metrics.histogram("hold_seconds", "Hold.", &[1.0, 10.0]).unwrap().observe(4.0);
        let text = metrics.render().unwrap();
        for line in [
            r#"scrapefleet_build_info{program="bot",version="1.2.3"} 1"#,
            "scrapefleet_stored_total 3",
            r#"scrapefleet_depth{lane="fast"} 2.5"#,
            r#"scrapefleet_hold_seconds_bucket{le="1"} 0"#,
            r#"scrapefleet_hold_seconds_bucket{le="10"} 1"#,
            "# TYPE scrapefleet_hold_seconds histogram",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn names_that_others_know_are_kept() {
        let metrics = metrics();
        let counter = IntCounter::new("controller_runtime_reconcile_total", "Reconciliations.").unwrap();
        metrics.collect_as_named(counter.clone()).unwrap();
        counter.inc();
        let text = metrics.render().unwrap();
        assert!(text.lines().any(|line| line == "controller_runtime_reconcile_total 1"), "{text}");
        assert!(metrics.collect_as_named(counter).is_err(), "twice");
    }

    #[test]
    fn hostile_label_values_stay_in_their_line() {
        let metrics = metrics();
        let counter = metrics.counter_vec("errors_total", "Errors.", &["why"]).unwrap();
        counter.with_label_values(&["\"} 9\nscrapefleet_forged 1\\"]).inc();
        let text = metrics.render().unwrap();
        assert!(!text.lines().any(|line| line.starts_with("scrapefleet_forged")), "{text}");
    }

    #[test]
    fn a_metric_is_made_once_and_its_name_is_checked() {
        let metrics = metrics();
        metrics.counter("stored_total", "Stored.").unwrap();
        let twice = metrics.counter("stored_total", "Stored.").unwrap_err().to_string();
        assert!(twice.starts_with("metric `scrapefleet_stored_total`: "), "{twice}");
        let misnamed = metrics.counter("stored total", "Stored.").unwrap_err().to_string();
        assert!(misnamed.starts_with("metric `scrapefleet_stored total`: "), "{misnamed}");
    }

    #[test]
    fn clones_share_the_registry() {
        let metrics = metrics();
        metrics.clone().counter("seen_total", "Seen.").unwrap().inc();
        assert!(metrics.render().unwrap().contains("scrapefleet_seen_total 1"));
    }
}
