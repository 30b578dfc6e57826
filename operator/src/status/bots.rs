//! The bots of a fleet, one line each.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use scrapefleet_api::status::{BotCondition, BotSummary, MOST_BOTS};

use super::{number, whole_second};
use crate::{
    observe::shown,
    plan::{ObservedPod, ReportedState, Role, Situation, Stage},
};

/// The bots, those that are not well first, bounded.
pub(super) fn summaries(situation: &Situation) -> Vec<BotSummary> {
    let mut bots: Vec<_> = situation
        .pods
        .iter()
        .filter(|pod| pod.role == Role::Bot)
        .map(|pod| summary(pod, situation))
        .collect();
    bots.sort_by(|a, b| (rank(a.state), a.slot, &a.pod).cmp(&(rank(b.state), b.slot, &b.pod)));
    bots.truncate(MOST_BOTS);
    bots
}

fn summary(pod: &ObservedPod, situation: &Situation) -> BotSummary {
    let report = pod.fresh_report(situation.now);
    let said = report.and_then(|report| report.last_reason.as_deref()).map(shown);
    let ended = pod.exit().map(|exit| exit.message.clone().unwrap_or_else(|| exit.why.sentence()));
    BotSummary {
        slot: i32::try_from(pod.slot).unwrap_or(i32::MAX),
        pod: pod.name.clone(),
        state: state(pod, report.map(|report| report.state)),
        held: report.map(|report| number(usize::try_from(report.held).unwrap_or(usize::MAX))),
        since: pod.since.map(|at| Time(whole_second(at))),
        last_reason: ended.or(said).or_else(|| pod.hindered(situation.now).map(|found| found.said.clone())),
    }
}

fn state(pod: &ObservedPod, reported: Option<ReportedState>) -> BotCondition {
    match (&pod.stage, reported) {
        _ if pod.fenced => BotCondition::Fenced,
        (Stage::Ended(_), _) => BotCondition::Ended,
        _ if pod.terminating => BotCondition::Draining,
        (Stage::Pending, _) => BotCondition::Pending,
        (_, Some(ReportedState::Rebuilding)) => BotCondition::Rebuilding,
        (_, Some(ReportedState::SiteUnavailable)) => BotCondition::SiteUnavailable,
        (_, Some(ReportedState::Draining)) => BotCondition::Draining,
        // It goes on with what it holds; the condition tells what it waits for.
        (_, Some(ReportedState::StoreUnreachable)) => BotCondition::Working,
        (_, Some(ReportedState::Starting)) | (Stage::Starting, _) => BotCondition::Starting,
        _ if is_silent(pod) => BotCondition::Silent,
        _ => BotCondition::Working,
    }
}

/// The lower, the sooner a person should look.
const fn rank(state: BotCondition) -> u8 {
    match state {
        BotCondition::Ended => 0,
        BotCondition::Silent => 1,
        BotCondition::Fenced => 2,
        BotCondition::SiteUnavailable => 3,
        BotCondition::Rebuilding => 4,
        BotCondition::Pending => 5,
        BotCondition::Starting => 6,
        BotCondition::Draining => 7,
        BotCondition::Working => 8,
    }
}

/// Whether a pod runs and does not say how it is.
fn is_silent(pod: &ObservedPod) -> bool {
    pod.stage == Stage::Ready && pod.report.value().is_none()
}
