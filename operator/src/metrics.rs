//! What the operator counts for Prometheus.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, core::Collector};
use scrapefleet_telemetry::{Metrics, MetricsError};

use crate::plan::{Action, Plan, Role, Situation, Stage, WhyCreate, WhyDelete};

/// The controller's name, as a label.
pub const CONTROLLER: &str = "scrapefleet";

/// Labels of a fleet.
const FLEET: [&str; 2] = ["namespace", "fleet"];

/// What bots are counted by.
const STATES: [&str; 5] = ["pending", "starting", "ready", "draining", "ended"];

/// What the operator counts. The first ones have the names that dashboards for controllers know.
#[derive(Debug, Clone)]
pub struct OperatorMetrics {
    /// `controller_runtime_reconcile_total{controller,result}`.
    pub reconciles: IntCounterVec,
    /// `controller_runtime_reconcile_time_seconds{controller}`.
    pub seconds: HistogramVec,
    /// `workqueue_depth{name}`: fleets that should have been looked at by now and were not.
    pub waiting: IntGaugeVec,
    /// `rest_client_requests_total{code,method,host}`.
    pub requests: IntCounterVec,
    /// `leader_election_master_status{name}`, of this election.
    pub leading: IntGauge,
    /// `scrapefleet_operator_watch_errors_total{watch}`.
    pub watch_errors: IntCounterVec,
    desired: IntGaugeVec,
    bots: IntGaugeVec,
    items: IntGaugeVec,
    held: IntGaugeVec,
    actions: IntCounterVec,
}

impl OperatorMetrics {
    /// Makes the metrics and registers them; `lease` is the name of the election.
    pub fn new(metrics: &Metrics, lease: &str) -> Result<Self, MetricsError> {
        let leading = as_named(
            metrics,
            IntGaugeVec::new(
                Opts::new("leader_election_master_status", "1 while this process leads, else 0."),
                &["name"],
            ),
        )?;
        Ok(Self {
            reconciles: as_named(
                metrics,
                IntCounterVec::new(
                    Opts::new("controller_runtime_reconcile_total", "Looks at a fleet, by result."),
                    &["controller", "result"],
                ),
            )?,
            seconds: as_named(
                metrics,
                HistogramVec::new(
                    HistogramOpts::new("controller_runtime_reconcile_time_seconds", "How long a look took.")
                        .buckets(vec![
                            0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
                        ]),
                    &["controller"],
                ),
            )?,
            waiting: as_named(
                metrics,
                IntGaugeVec::new(Opts::new("workqueue_depth", "Fleets whose look is overdue."), &["name"]),
            )?,
            requests: as_named(
                metrics,
                IntCounterVec::new(
                    Opts::new("rest_client_requests_total", "Requests to the API server."),
                    &["code", "method", "host"],
                ),
            )?,
            leading: leading.with_label_values(&[lease]),
            watch_errors: metrics.counter_vec(
                "operator_watch_errors_total",
                "Watches that failed and were begun anew.",
                &["watch"],
            )?,
            desired: metrics.int_gauge_vec("operator_bots_desired", "Bots that there should be.", &FLEET)?,
            bots: metrics.int_gauge_vec(
                "operator_bots",
                "Bots, by state.",
                &["namespace", "fleet", "state"],
            )?,
            items: metrics.int_gauge_vec(
                "operator_queue_depth",
                "Items in the queue, by state; not there while it cannot be read.",
                &["namespace", "fleet", "state"],
            )?,
            held: metrics.int_gauge_vec(
                "operator_scaling_held",
                "1 while the number of bots is held still, else 0.",
                &FLEET,
            )?,
            actions: metrics.counter_vec(
                "operator_actions_total",
                "What was done to pods, by kind.",
                &["namespace", "fleet", "kind"],
            )?,
        })
    }

    /// Shows how a fleet is.
    pub fn show(&self, fleet: [&str; 2], situation: &Situation, plan: &Plan) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.desired.with_label_values(&fleet).set(number(plan.target.count));
        self.held.with_label_values(&fleet).set(i64::from(plan.target.hold.is_some()));
        for state in STATES {
            let bots = situation.pods.iter().filter(|pod| pod.role == Role::Bot && state_of(pod) == state);
            self.bots.with_label_values(&[fleet[0], fleet[1], state]).set(number(bots.count()));
        }
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for state in ["ready", "held", "delayed", "dead"] {
            let labels = [fleet[0], fleet[1], state];
            let Some(depth) = situation.depth.value() else {
                // There is no number for what is not known. Removing what is not there is fine.
                let _ = self.items.remove_label_values(&labels);
                continue;
            };
            let items = match state {
                "ready" => depth.ready,
                "held" => depth.held,
                "delayed" => depth.delayed,
                _ => depth.dead,
            };
            self.items.with_label_values(&labels).set(count(items));
        }
    }

    /// Counts what was done.
    pub fn count(&self, fleet: [&str; 2], done: &[Action]) {
        for action in done {
            self.actions.with_label_values(&[fleet[0], fleet[1], kind(action)]).inc();
        }
    }

    /// Forgets a fleet that is gone.
    pub fn forget(&self, fleet: [&str; 2]) {
        let labels = |state| [fleet[0], fleet[1], state];
        // Removing what was never shown is fine.
        let _ = self.desired.remove_label_values(&fleet);
        let _ = self.held.remove_label_values(&fleet);
        for state in STATES {
            let _ = self.bots.remove_label_values(&labels(state));
        }
        for state in ["ready", "held", "delayed", "dead"] {
            let _ = self.items.remove_label_values(&labels(state));
        }
        for kind in KINDS {
            let _ = self.actions.remove_label_values(&labels(kind));
        }
    }
}

fn as_named<M: Collector + Clone + 'static>(
    metrics: &Metrics,
    metric: prometheus::Result<M>,
) -> Result<M, MetricsError> {
    let metric = metric.map_err(MetricsError::from)?;
    metrics.collect_as_named(metric.clone())?;
    Ok(metric)
}

fn state_of(pod: &crate::plan::ObservedPod) -> &'static str {
    match &pod.stage {
        Stage::Ended(_) => "ended",
        _ if pod.terminating => "draining",
        Stage::Pending => "pending",
        Stage::Starting => "starting",
        Stage::Ready => "ready",
    }
}

/// All kinds of actions.
const KINDS: [&str; 10] = [
    "finalizer",
    "share",
    "create",
    "exchange",
    "replace",
    "scale_in",
    "outdated",
    "clean_up",
    "remove_queues",
    "abandon",
];

fn kind(action: &Action) -> &'static str {
    match action {
        Action::AddFinalizer | Action::RemoveFinalizer => KINDS[0],
        Action::Deal { .. } => KINDS[1],
        Action::Create { why: WhyCreate::Needed, .. } => KINDS[2],
        Action::Create { why: WhyCreate::Exchange, .. } => KINDS[3],
        Action::Create { why: WhyCreate::Replaces { .. } | WhyCreate::Abandons { .. }, .. } => KINDS[4],
        Action::Delete { why: WhyDelete::NotNeeded, .. } => KINDS[5],
        Action::Delete { why: WhyDelete::Outdated, .. } => KINDS[6],
        Action::Delete { why: WhyDelete::Replaced | WhyDelete::Ended, .. } => KINDS[7],
        Action::RemoveQueues => KINDS[8],
        Action::Delete { why: WhyDelete::Abandoned(_), .. } => KINDS[9],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_the_names_that_dashboards_know() {
        let registry = Metrics::new("operator", "1").unwrap();
        let metrics = OperatorMetrics::new(&registry, "lease").unwrap();
        metrics.reconciles.with_label_values(&[CONTROLLER, "success"]).inc();
        metrics.waiting.with_label_values(&[CONTROLLER]).set(0);
        metrics.count(["space", "fleet"], &[Action::AddFinalizer]);
        let text = registry.render().unwrap();
        for line in [
            r#"controller_runtime_reconcile_total{controller="scrapefleet",result="success"} 1"#,
            r#"workqueue_depth{name="scrapefleet"} 0"#,
            r#"leader_election_master_status{name="lease"} 0"#,
            r#"scrapefleet_operator_actions_total{fleet="fleet",kind="finalizer",namespace="space"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        metrics.forget(["space", "fleet"]);
        assert!(!registry.render().unwrap().contains("space"));
    }
}
