//! The status of a fleet: what was seen and decided, in words for people.

mod bots;
mod conditions;
mod reason;
mod writing;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use scrapefleet_api::{
    ScrapeFleet, ScrapeFleetStatus,
    manifest::Problem,
    status::{ItemCounts, Phase},
};

use crate::{
    names,
    observe::Outside,
    plan::{Plan, Role, Situation},
    tally::Tally,
};
pub use conditions::{CONDITIONS, Finding, Verdict};
pub use reason::Reason;
pub use writing::Writer;

/// The longest message of a condition, in characters.
const LONGEST: usize = 700;

/// What a status is made of.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The fleet.
    pub fleet: &'a ScrapeFleet,
    /// What was observed.
    pub situation: &'a Situation<'a>,
    /// What was decided.
    pub plan: &'a Plan,
    /// What lies outside the cluster, once it was looked at.
    pub outside: Option<&'a Outside>,
    /// What is wrong with the manifest beyond what the API server checks.
    pub problems: &'a [Problem],
    /// What the API server refused, in words.
    pub refused: Option<&'a str>,
    /// What was counted.
    pub tally: &'a Tally,
    /// Whether the site's list has not answered for a while.
    pub list_is_broken: bool,
}

/// The status, with the times of `previous` where nothing has changed.
#[must_use]
pub fn status(view: &View, previous: &ScrapeFleetStatus) -> ScrapeFleetStatus {
    let findings = conditions::findings(view);
    let bots = || view.situation.pods.iter().filter(|pod| pod.role == Role::Bot);
    let live = bots().filter(|pod| pod.is_live()).count();
    let ready = bots().filter(|pod| pod.is_available()).count();
    let desired = view.plan.target.count;
    ScrapeFleetStatus {
        observed_generation: view.fleet.metadata.generation,
        phase: Some(phase(view, &findings)),
        message: Some(conditions::headline(&findings)),
        replicas: Some(number(live)),
        desired: Some(number(desired)),
        ready: Some(number(ready)),
        size: Some(format!("{ready}/{desired}")),
        selector: view.fleet.metadata.name.as_deref().map(names::selector),
        items: Some(items(view, previous)),
        rate: Some(format!("{}/min", view.tally.per_minute(view.situation.now))),
        bots: bots::summaries(view.situation),
        conditions: findings.iter().map(|finding| condition(finding, view, previous)).collect(),
    }
}

/// Counts; those of a queue that cannot be read are the last known.
fn items(view: &View, previous: &ScrapeFleetStatus) -> ItemCounts {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let known = previous.items.unwrap_or_default();
    let (stored, gaps) = (number(view.tally.stored()), number(view.tally.gaps()));
    match view.situation.depth.value() {
        None => ItemCounts { stored, gaps, ..known },
        Some(depth) => ItemCounts {
            ready: number(depth.ready),
            held: number(depth.held),
            delayed: number(depth.delayed),
            dead: number(depth.dead),
            stored,
            gaps,
        },
    }
}

fn phase(view: &View, findings: &[Finding]) -> Phase {
    let is =
        |type_: &str, verdict: Verdict| findings.iter().any(|f| f.type_ == type_ && f.verdict == verdict);
    let fleet = view.situation.fleet;
    let ours = |pod: &&crate::plan::ObservedPod| !pod.fenced && pod.exit().is_none();
    let bots = || view.situation.pods.iter().filter(|pod| pod.role == Role::Bot).filter(ours);
    if fleet.deleting {
        Phase::Draining
    } else if fleet.paused {
        Phase::Paused
    } else if fleet.invalid || view.plan.refused_by.is_some() {
        Phase::Failed
    } else if view.situation.spec.suspend {
        if bots().next().is_some() { Phase::Draining } else { Phase::Suspended }
    } else if is("Degraded", Verdict::True) {
        Phase::Degraded
    } else if is("Progressing", Verdict::True) {
        if view.situation.pods.iter().any(crate::plan::ObservedPod::is_available) {
            Phase::Scaling
        } else {
            Phase::Pending
        }
    } else {
        Phase::Running
    }
}

fn condition(finding: &Finding, view: &View, previous: &ScrapeFleetStatus) -> Condition {
    let before = previous.condition(finding.type_).filter(|before| before.status == finding.verdict.word());
    Condition {
        type_: finding.type_.to_owned(),
        status: finding.verdict.word().to_owned(),
        reason: finding.reason.word().to_owned(),
        message: bounded(&finding.message),
        last_transition_time: before.map_or_else(
            || Time(whole_second(view.situation.now)),
            |before| before.last_transition_time.clone(),
        ),
        observed_generation: view.fleet.metadata.generation,
    }
}

/// The API server keeps seconds; what it gives back must be equal to what was written.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn bounded(message: &str) -> String {
    let mut text: String = message.chars().take(LONGEST).collect();
    if message.chars().nth(LONGEST).is_some() {
        text.push_str("...");
    }
    text
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
