//! What pods say, and what is said of them.

use crate::{
    observe::shown,
    plan::{ExitReason, ObservedPod, ReportedState, Role, Vacancy},
    status::View,
};

/// The first live pod that something keeps from starting, and what.
pub(super) fn obstacle<'a>(view: &'a View) -> Option<(&'a str, &'a str)> {
    let mut live = view.situation.pods.iter().filter(|pod| pod.is_live());
    live.find_map(|pod| Some((pod.name.as_str(), pod.hindered(view.situation.now)?.said.as_str())))
}

/// What a pod said when it ended.
pub(super) fn said_by(view: &View, name: &str) -> String {
    let pod = view.situation.pods.iter().find(|pod| pod.name == name);
    let message = pod.and_then(|pod| pod.exit()?.message.clone());
    message.map(|message| format!(": {message}")).unwrap_or_default()
}

/// A pod by its role and number.
pub(super) fn slot(pod: &ObservedPod) -> String {
    format!("{} {}", pod.role.word(), pod.slot)
}

/// How a pod ended, in words.
pub(super) fn ending(vacancy: &Vacancy) -> String {
    let said = vacancy.exit.message.as_deref().map(|said| format!(" ({said})")).unwrap_or_default();
    format!("{}{said}", vacancy.exit.why.sentence())
}

/// Ended pods that nothing has followed.
pub(super) fn vacancies<'a>(view: &'a View) -> impl Iterator<Item = Vacancy<'a>> {
    view.situation.pods.iter().filter_map(Vacancy::of)
}

/// The first live pod of those of `role` that says that it is in one of `states`, with what it says of it.
pub(super) fn saying(view: &View, role: Option<Role>, states: &[ReportedState]) -> Option<String> {
    let mut live =
        view.situation.pods.iter().filter(|pod| pod.is_live() && role.is_none_or(|role| pod.role == role));
    live.find_map(|pod| {
        let report = pod.fresh_report(view.situation.now).filter(|report| states.contains(&report.state))?;
        let why = report.last_reason.as_deref().map(|why| format!(": {}", shown(why))).unwrap_or_default();
        Some(format!("{} {}{why}", slot(pod), pod.name))
    })
}

/// The first pod that ended for this reason, with what it said.
pub(super) fn ended_for(view: &View, reason: ExitReason) -> Option<String> {
    let found = vacancies(view).find(|vacancy| vacancy.exit.why == reason)?;
    let said = found.exit.message.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
    Some(format!("{} {} ended{said}", slot(found.pod), found.pod.name))
}
