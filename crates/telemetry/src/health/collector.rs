//! Health as metrics.

use prometheus::{
    GaugeVec, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use scrapefleet_policy::Instant;

use super::{Health, Report, lock};
use crate::MetricsError;

/// Shows health as it is when it is asked for: `health{signal, part}` is 1 or 0, `progress_age_seconds{part}` how long
/// ago progress was made, left out while idle.
#[derive(Debug)]
pub(crate) struct HealthCollector {
    health: Health,
    descriptions: Vec<Desc>,
}

impl HealthCollector {
    pub(crate) fn new(health: Health) -> Result<Self, MetricsError> {
        let (ok, age) = build_gauges().map_err(crate::metrics::because_of("health"))?;
        let descriptions = [ok.desc(), age.desc()].concat().into_iter().cloned().collect();
        Ok(Self { health, descriptions })
    }

    fn fill(&self, ok: &IntGaugeVec, age: &GaugeVec) {
        let signals = [
            ("live", self.health.live()),
            ("ready", self.health.ready()),
            ("progress", self.health.progressing()),
        ];
        for (signal, Report { parts, .. }) in &signals {
            for (name, part) in parts {
                ok.with_label_values(&[*signal, name.as_str()]).set(i64::from(part.ok));
            }
        }
        let now = Instant::now();
        for (name, pulse) in &self.health.lock().progress {
            if let Some(passed) = lock(pulse).age(now) {
                age.with_label_values(&[name.as_str()]).set(passed.as_secs_f64());
            }
        }
    }
}

impl Collector for HealthCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok((ok, age)) = build_gauges() else {
            return Vec::new(); // cannot fail: `new` built the same
        };
        self.fill(&ok, &age);
        [ok.collect(), age.collect()].concat()
    }
}

fn build_gauges() -> prometheus::Result<(IntGaugeVec, GaugeVec)> {
    let ok = Opts::new("health", "Whether this part of the program is well (1) or not (0).");
    let age = Opts::new("progress_age_seconds", "How long ago this part made progress; absent while idle.");
    Ok((IntGaugeVec::new(ok, &["signal", "part"])?, GaugeVec::new(age, &["part"])?))
}
