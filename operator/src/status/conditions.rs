//! What is so and what is not, and what a person should do about it.

use super::{Reason, View};
use crate::{
    observe::shown,
    plan::{Blame, ExitReason, Hold, ObservedPod, ReportedState, Role, Stage, Vacancy, is_late},
};

/// The types of all conditions, in the order they are written.
pub const CONDITIONS: [&str; 7] =
    ["Ready", "Progressing", "Degraded", "QueueReachable", "StoreReachable", "SiteAvailable", "ScalingHeld"];

/// Something that is so or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it speaks of.
    pub type_: &'static str,
    /// Whether it is so.
    pub verdict: Verdict,
    /// Why, in a word.
    pub reason: Reason,
    /// Why, and what to do.
    pub message: String,
}

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    True,
    /// It is not.
    False,
    /// It is not known.
    Unknown,
}

impl Verdict {
    /// As it stands in a condition.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

use Verdict::{False, True, Unknown};

/// All conditions, in the order of [`CONDITIONS`].
pub(super) fn findings(view: &View) -> Vec<Finding> {
    let queue = queue(view);
    let store = store(view);
    let site = site(view);
    let degraded = degraded(view, [&queue, &store]);
    vec![ready(view, &queue, &store), progressing(view), degraded, queue, store, site, scaling(view)]
}

/// The message that matters most.
pub(super) fn headline(findings: &[Finding]) -> String {
    let of = |type_: &str| findings.iter().find(|finding| finding.type_ == type_);
    let wrong = [
        ("Ready", False, true),
        ("QueueReachable", False, false),
        ("StoreReachable", False, false),
        ("SiteAvailable", False, false),
        ("Degraded", True, false),
        ("ScalingHeld", True, false),
        ("Progressing", True, false),
    ];
    // That too few bots are ready is a consequence: what it comes from is said rather.
    let consequence = |finding: &&Finding| matches!(finding.reason, Reason::TooFewBots | Reason::NoWatcher);
    let found = |plain: bool| {
        wrong
            .iter()
            .filter_map(move |(type_, verdict, _)| of(type_).filter(|f| f.verdict == *verdict))
            .find(move |finding| !plain || !consequence(finding))
    };
    let said = found(true).or_else(|| found(false)).or_else(|| of("Ready"));
    super::bounded(said.map_or("", |finding| finding.message.as_str()))
}

fn finding(type_: &'static str, verdict: Verdict, reason: Reason, message: impl Into<String>) -> Finding {
    Finding { type_, verdict, reason, message: message.into() }
}

fn ready(view: &View, queue: &Finding, store: &Finding) -> Finding {
    let is = |verdict, reason, message: String| finding("Ready", verdict, reason, message);
    let fleet = view.situation.fleet;
    if let Some(problem) = view.problems.first() {
        let more = view.problems.len() - 1;
        let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        return is(
            False,
            Reason::InvalidSpec,
            format!("{problem}{more}; bots go on with what they were made of"),
        );
    }
    if fleet.deleting {
        return is(False, Reason::Deleting, "the fleet is being deleted: its bots drain first".into());
    }
    if let Some(pod) = &view.plan.refused_by {
        let said = said_by(view, pod);
        let message = format!(
            "pod {pod} cannot work with this manifest{said}; nothing is replaced until the manifest changes"
        );
        return is(False, Reason::BadConfiguration, message);
    }
    if view.situation.spec.suspend {
        return is(
            False,
            Reason::Suspended,
            "the fleet is suspended; `spec.suspend: false` starts it again".into(),
        );
    }
    for service in [queue, store] {
        if service.verdict == False && service.reason == Reason::SecretMissing {
            return is(False, Reason::SecretMissing, service.message.clone());
        }
    }
    counted(view)
}

/// Whether as many pods are ready as there should be.
fn counted(view: &View) -> Finding {
    let available =
        |role| view.situation.pods.iter().filter(|pod| pod.role == role && pod.is_available()).count();
    let (bots, wanted) = (available(Role::Bot), view.plan.target.count);
    if view.plan.watchers > 0 && available(Role::Watcher) == 0 {
        return finding(
            "Ready",
            False,
            Reason::NoWatcher,
            "no watcher is ready: nothing new is discovered".to_owned() + &hint(view),
        );
    }
    if bots < wanted {
        let message = format!("{bots} of {wanted} bots are ready{}", hint(view));
        return finding("Ready", False, Reason::TooFewBots, message);
    }
    finding("Ready", True, Reason::AsWanted, "all bots that there should be are ready")
}

/// What keeps pods from being ready, in short.
fn hint(view: &View) -> String {
    obstacle(view).map(|(pod, why)| format!("; {pod} waits: {why}")).unwrap_or_default()
}

fn obstacle<'a>(view: &'a View) -> Option<(&'a str, &'a str)> {
    let mut live = view.situation.pods.iter().filter(|pod| pod.is_live());
    live.find_map(|pod| Some((pod.name.as_str(), pod.hindered(view.situation.now)?.said.as_str())))
}

fn said_by(view: &View, name: &str) -> String {
    let pod = view.situation.pods.iter().find(|pod| pod.name == name);
    let message = pod.and_then(|pod| pod.exit()?.message.clone());
    message.map(|message| format!(": {message}")).unwrap_or_default()
}

fn progressing(view: &View) -> Finding {
    let is = |verdict, reason, message: &str| finding("Progressing", verdict, reason, message);
    let pods = || view.situation.pods.iter().filter(|pod| !pod.fenced && !is_late(view.situation, pod));
    let leaving = pods().filter(|pod| pod.terminating).count();
    let coming = pods().filter(|pod| pod.is_live() && !pod.is_available()).count();
    let live = pods().filter(|pod| pod.role == Role::Bot && pod.is_live()).count();
    if view.situation.fleet.paused {
        let message = format!("nothing is changed while the annotation `{}` is there", crate::names::PAUSED);
        is(False, Reason::Paused, &message)
    } else if view.plan.rolling {
        is(True, Reason::RollingOut, "pods are exchanged for those of the present manifest and image")
    } else if leaving > 0 {
        is(True, Reason::PodsChange, "pods drain")
    } else if coming > 0 || live != view.plan.target.count {
        is(True, Reason::PodsChange, "pods are on their way")
    } else {
        is(False, Reason::Settled, "there are as many pods as there should be")
    }
}

fn degraded(view: &View, services: [&Finding; 2]) -> Finding {
    let is = |reason, message: String| finding("Degraded", True, reason, message);
    if let Some(refused) = view.refused {
        return is(Reason::Refused, format!("what the operator asks for is refused: {refused}"));
    }
    if let Some(service) = services.into_iter().find(|service| service.verdict == False) {
        return is(service.reason, service.message.clone());
    }
    if let Some((pod, why)) = obstacle(view) {
        return is(Reason::PodsCannotStart, format!("pod {pod} cannot start: {why}"));
    }
    if let Some(message) = still_there(view) {
        return is(Reason::PodsDoNotEnd, message);
    }
    let failing: Vec<(&ObservedPod, String)> = vacancies(view)
        .filter(|vacancy| vacancy.exit.why.blame() == Blame::Pod && vacancy.pod.failures > 0)
        .map(|vacancy| (vacancy.pod, ending(&vacancy)))
        .collect();
    match failing.as_slice() {
        [] => finding("Degraded", False, Reason::AsWanted, "no pod keeps failing"),
        [(pod, how), others @ ..] => {
            let more = if others.is_empty() { String::new() } else { format!(", and {} more", others.len()) };
            let again = pod.failures.saturating_add(1);
            is(
                Reason::PodsFail,
                format!(
                    "{} ended {again} times in a row: {how}{more}; it is tried again, less and less often",
                    slot(pod)
                ),
            )
        }
    }
}

/// Of pods that should have ended and are still there.
fn still_there(view: &View) -> Option<String> {
    let mut late = view.situation.pods.iter().filter(|pod| !pod.fenced && is_late(view.situation, pod));
    let pod = late.next()?;
    let more = late.count();
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    let node = pod.node.as_deref().map(|node| format!(" on node {node}")).unwrap_or_default();
    let by = view.situation.ends_by.get(&pod.uid).map(|at| format!(" at {at:.0}")).unwrap_or_default();
    Some(format!(
        "pod {}{node}{more} should have ended{by} and is still there; it is not counted any more. Its node is gone or hangs, or \
         a finalizer keeps it: when the node is gone for good, `kubectl delete node`, or `kubectl delete pod --force`",
        pod.name
    ))
}

fn slot(pod: &ObservedPod) -> String {
    format!("{} {}", pod.role.word(), pod.slot)
}

fn ending(vacancy: &Vacancy) -> String {
    let said = vacancy.exit.message.as_deref().map(|said| format!(" ({said})")).unwrap_or_default();
    format!("{}{said}", vacancy.exit.why.sentence())
}

fn vacancies<'a>(view: &'a View) -> impl Iterator<Item = Vacancy<'a>> {
    view.situation.pods.iter().filter_map(Vacancy::of)
}

/// The first live pod of those of `role` that says that it is in one of `states`, with what it says of it.
fn saying(view: &View, role: Option<Role>, states: &[ReportedState]) -> Option<String> {
    let mut live =
        view.situation.pods.iter().filter(|pod| pod.is_live() && role.is_none_or(|role| pod.role == role));
    live.find_map(|pod| {
        let report = pod.fresh_report(view.situation.now).filter(|report| states.contains(&report.state))?;
        let why = report.last_reason.as_deref().map(|why| format!(": {}", shown(why))).unwrap_or_default();
        Some(format!("{} {}{why}", slot(pod), pod.name))
    })
}

fn ended_for(view: &View, reason: ExitReason) -> Option<String> {
    let found = vacancies(view).find(|vacancy| vacancy.exit.why == reason)?;
    let said = found.exit.message.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
    Some(format!("{} {} ended{said}", slot(found.pod), found.pod.name))
}

fn queue(view: &View) -> Finding {
    let is = |verdict, reason, message: String| finding("QueueReachable", verdict, reason, message);
    let url = view.situation.spec.queue.rabbitmq.as_ref().map_or("", |queue| queue.url.as_str());
    if let Some(missing) = view.outside.and_then(|outside| outside.queue_secret.missing()) {
        return is(False, Reason::SecretMissing, missing.to_owned());
    }
    let complaint = saying(view, None, &[ReportedState::QueueUnreachable])
        .or_else(|| ended_for(view, ExitReason::QueueUnreachable));
    if let Some(complaint) = complaint {
        let message = format!(
            "the queue at {url} cannot be reached ({complaint}): see that the broker is up, that the name leads to it, \
             and that the Secret is right"
        );
        return is(False, Reason::Unreachable, message);
    }
    let works = [ReportedState::Working, ReportedState::Watching, ReportedState::Standby];
    if saying(view, None, &works).is_some() {
        return is(True, Reason::Reachable, "bots and watchers reach the queue".into());
    }
    match view.outside.and_then(|outside| outside.broker_answers) {
        Some(true) => is(True, Reason::Reachable, "the broker answers".into()),
        Some(false) => is(
            False,
            Reason::Unreachable,
            view.situation.depth.why().unwrap_or("the broker does not answer").to_owned(),
        ),
        None => is(Unknown, Reason::NotKnown, "nobody has tried to reach the queue yet".into()),
    }
}

fn store(view: &View) -> Finding {
    let is = |verdict, reason, message: String| finding("StoreReachable", verdict, reason, message);
    if let Some(missing) = view.outside.and_then(|outside| outside.store_secret.missing()) {
        return is(False, Reason::SecretMissing, missing.to_owned());
    }
    let complaint = saying(view, Some(Role::Bot), &[ReportedState::StoreUnreachable])
        .or_else(|| ended_for(view, ExitReason::StoreUnreachable));
    if let Some(complaint) = complaint {
        let store = view.situation.spec.store.s3.as_ref();
        let bucket = store.map_or("", |store| store.bucket.as_str());
        let at = store
            .and_then(|store| store.endpoint.as_deref())
            .map(|at| format!(" at {at}"))
            .unwrap_or_default();
        let message = format!(
            "the bucket `{bucket}`{at} cannot be used ({complaint}): see that it is there, and that the Secret's key may \
             put, list and get"
        );
        return is(False, Reason::Unreachable, message);
    }
    if saying(view, Some(Role::Bot), &[ReportedState::Working]).is_some() {
        return is(True, Reason::Reachable, "no bot complains of the store".into());
    }
    is(Unknown, Reason::NotKnown, "no bot works yet".into())
}

fn site(view: &View) -> Finding {
    let is = |verdict, reason, message: String| finding("SiteAvailable", verdict, reason, message);
    if view.list_is_broken
        && let Some(complaint) = saying(view, Some(Role::Watcher), &[ReportedState::Repairing])
    {
        let message = format!(
            "the site's list cannot be read ({complaint}): is the site up, does the recipe still fit?"
        );
        return is(False, Reason::ListUnreadable, message);
    }
    if super::site_is_down(view) {
        let complaint = saying(view, Some(Role::Bot), &[ReportedState::SiteUnavailable])
            .or_else(|| ended_for(view, ExitReason::SiteUnavailable))
            .unwrap_or_default();
        let message = format!(
            "the site is at fault ({complaint}); opening is paused and tried again by itself. Is it up? Does it refuse so \
             many (`spec.politeness`)?"
        );
        return is(False, Reason::SiteUnavailable, message);
    }
    let works = [ReportedState::Working, ReportedState::Watching, ReportedState::Standby];
    if saying(view, None, &works).is_some() {
        return is(True, Reason::Available, "the site answers as it should".into());
    }
    is(Unknown, Reason::NotKnown, "nobody has looked at the site yet".into())
}

fn scaling(view: &View) -> Finding {
    let is = |verdict, reason, message: String| finding("ScalingHeld", verdict, reason, message);
    let fleet = view.situation.fleet;
    if fleet.paused {
        return is(True, Reason::Paused, "the fleet is paused".into());
    }
    if fleet.invalid {
        return is(True, Reason::InvalidSpec, "the manifest is wrong; see Ready".into());
    }
    match &view.plan.target.hold {
        Some(Hold::DepthUnread(why)) => {
            let message =
                format!("the number of bots is kept, since the depth of the queue cannot be read: {why}");
            is(True, Reason::DepthUnread, message)
        }
        Some(Hold::SiteUnavailable) => {
            is(True, Reason::SiteUnavailable, "the number of bots is kept until the site is back".into())
        }
        None if view.situation.spec.bots.replicas.is_some() => {
            is(False, Reason::SetFromOutside, "the number of bots is set by `spec.bots.replicas`".into())
        }
        None => is(False, Reason::FollowsQueue, "the number of bots follows the queue".into()),
    }
}

/// Whether a pod runs and does not say how it is.
#[must_use]
pub(super) fn is_silent(pod: &ObservedPod) -> bool {
    pod.stage == Stage::Ready && pod.report.value().is_none()
}
