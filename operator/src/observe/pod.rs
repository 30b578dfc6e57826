//! From a pod of the API server to one that the plan sees.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};
use scrapefleet_telemetry::escape;
use serde::Deserialize;

use super::Heard;
use crate::{
    names,
    plan::{Exit, ExitReason, Hindrance, ObservedPod, Obstacle, Role, Stage},
};

/// The longest text of a pod's that is shown, in characters.
const LONGEST: usize = 300;

/// What a program leaves in its termination message, beside its exit code: one word, what went wrong last, if anything
/// did, and how many artifacts it stored. What is not this is shown as it is.
#[derive(Debug, Default, Deserialize)]
struct Farewell {
    reason: Option<String>,
    message: Option<String>,
    stored: Option<u64>,
}

/// The pod as the plan sees it; none where it is not one of ours, whatever its labels say.
#[must_use]
pub fn observe(pod: &Pod, heard: Heard) -> Option<ObservedPod> {
    let labels = pod.metadata.labels.as_ref()?;
    let role = Role::from_word(labels.get(names::ROLE)?)?;
    let annotation = |name: &str| pod.metadata.annotations.as_ref()?.get(name);
    let is = |name: &str| annotation(name).is_some_and(|value| value == "true");
    let stage = stage(pod, role);
    Some(ObservedPod {
        name: pod.metadata.name.clone()?,
        uid: pod.metadata.uid.clone()?,
        role,
        slot: labels.get(names::SLOT)?.parse().ok()?,
        revision: labels.get(names::REVISION)?.clone(),
        since: since(pod, &stage),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        fenced: is(names::FENCED),
        failures: annotation(names::FAILURES).and_then(|text| text.parse().ok()).unwrap_or(0),
        probes_site: is(names::PROBES_SITE),
        share: annotation(names::SHARE).and_then(|text| serde_json::from_str(text).ok()),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        node_gone: pod.status.as_ref().is_some_and(node_gone),
        obstacle: pod.status.as_ref().and_then(obstacle),
        silent_since: heard.silent_since,
        last_said: heard.last_said,
        stage,
        report: heard.report,
    })
}

/// When a pod that is being deleted should have ended.
#[must_use]
pub fn ends_by(pod: &Pod) -> Option<(String, Timestamp)> {
    let at = pod.metadata.deletion_timestamp.as_ref()?;
    Some((pod.metadata.uid.clone()?, at.0))
}

fn stage(pod: &Pod, role: Role) -> Stage {
    let Some(status) = &pod.status else { return Stage::Pending };
    let main = container(status, role.word());
    let state = main.and_then(|main| main.state.as_ref());
    if let Some(terminated) = state.and_then(|state| state.terminated.as_ref()) {
        return Stage::Ended(exit(status, terminated, pod));
    }
    match status.phase.as_deref() {
        Some("Failed" | "Succeeded") => Stage::Ended(taken_away(status, pod)),
        _ if condition(status, "Ready").is_some_and(|(is, _)| is) => Stage::Ready,
        _ if state.is_some_and(|state| state.running.is_some()) => Stage::Starting,
        _ => Stage::Pending,
    }
}

fn container<'a>(status: &'a PodStatus, name: &str) -> Option<&'a ContainerStatus> {
    status.container_statuses.iter().flatten().find(|container| container.name == name)
}

fn condition(status: &PodStatus, type_: &str) -> Option<(bool, Option<Timestamp>)> {
    let found = status.conditions.iter().flatten().find(|condition| condition.type_ == type_)?;
    Some((found.status == "True", found.last_transition_time.as_ref().map(|at| at.0)))
}

fn exit(status: &PodStatus, terminated: &ContainerStateTerminated, pod: &Pod) -> Exit {
    let time = |time: &Option<Time>| time.as_ref().map(|time| time.0).filter(|at| at.as_second() > 0);
    // The node ends what it takes away like anyone who deletes a pod; only the pod's own reason tells.
    let evicted = status.reason.as_deref().is_some_and(|reason| reason != "Completed")
        && !matches!(terminated.exit_code, 0 | 11);
    let farewell = farewell(terminated);
    let said = ExitReason::of(terminated.exit_code, farewell.reason.as_deref());
    Exit {
        stored: farewell.stored,
        why: if evicted { ExitReason::Evicted } else { said },
        at: time(&terminated.finished_at).unwrap_or_else(|| last_known(status, pod)),
        started: time(&terminated.started_at),
        message: last_word(terminated, farewell).or_else(|| status.message.as_deref().map(shown)),
    }
}

/// A pod that ended without its program having a say: evicted before it started, or its node forgot it.
fn taken_away(status: &PodStatus, pod: &Pod) -> Exit {
    let reason =
        status.reason.clone().into_iter().chain(status.message.clone()).collect::<Vec<_>>().join(": ");
    Exit {
        why: ExitReason::Evicted,
        at: last_known(status, pod),
        started: None,
        message: Some(shown(&reason)).filter(|text| !text.is_empty()),
        stored: None,
    }
}

fn last_known(status: &PodStatus, pod: &Pod) -> Timestamp {
    let changed = condition(status, "Ready").and_then(|(_, at)| at);
    let created = pod.metadata.creation_timestamp.as_ref().map(|at| at.0);
    changed.or(created).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn farewell(terminated: &ContainerStateTerminated) -> Farewell {
    let text = terminated.message.as_deref().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

fn last_word(terminated: &ContainerStateTerminated, said: Farewell) -> Option<String> {
    let text = terminated.message.as_deref().filter(|text| !text.trim().is_empty());
    let Some(text) = text else {
        return terminated.reason.clone().filter(|reason| !matches!(reason.as_str(), "Completed" | "Error"));
    };
    Some(shown(said.message.or(said.reason).as_deref().unwrap_or(text)))
}

/// Whether the pod's node does not answer any more: Kubernetes then takes back that the pod is ready, while its containers,
/// of which nobody can tell anything new, stay as they were said to be. A node that answers never says both.
fn node_gone(status: &PodStatus) -> bool {
    let is = |type_: &str| condition(status, type_).map(|(is, _)| is);
    status.phase.as_deref() == Some("Running")
        && is("Ready") == Some(false)
        && is("ContainersReady") == Some(true)
}

/// What keeps a pod from starting, as its node or the scheduler says.
fn obstacle(status: &PodStatus) -> Option<Obstacle> {
    let containers =
        || status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let waiting = containers().filter_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        let usual = matches!(reason, "ContainerCreating" | "PodInitializing");
        (!usual).then(|| Obstacle {
            kind: if reason.contains("Image") { Hindrance::Image } else { Hindrance::Container },
            said: format!("{}: {reason}: {}", container.name, waiting.message.as_deref().unwrap_or("")),
        })
    });
    let with = |type_: &str, kind, what: &str| {
        let found = status.conditions.iter().flatten().find(|condition| condition.type_ == type_)?;
        let said = format!("{what}: {}", found.message.as_deref().unwrap_or(""));
        (found.status == "False").then_some(Obstacle { kind, said })
    };
    let unscheduled = || with("PodScheduled", Hindrance::NoNode, "no node for it");
    let unprepared = || {
        let pending = status.phase.as_deref() == Some("Pending");
        let what = "its node has not prepared its volumes and its network (a Secret that is missing, a disk that is not \
                    free?); `kubectl describe pod` tells";
        let found = with("PodReadyToStartContainers", Hindrance::Volume, what);
        found.filter(|_| pending).map(|found| Obstacle { said: what.to_owned(), ..found })
    };
    let found = waiting.into_iter().next().or_else(unscheduled).or_else(unprepared)?;
    Some(Obstacle { said: shown(&found.said), ..found })
}

fn since(pod: &Pod, stage: &Stage) -> Option<Timestamp> {
    let created = pod.metadata.creation_timestamp.as_ref().map(|at| at.0);
    match (stage, &pod.status) {
        (Stage::Ended(exit), _) => Some(exit.at),
        (Stage::Ready | Stage::Starting, Some(status)) => {
            condition(status, "Ready").and_then(|(_, at)| at).or(created)
        }
        // Since it has a node, for one that starts.
        (_, Some(status)) => condition(status, "PodScheduled").and_then(|(_, at)| at).or(created),
        _ => created,
    }
}

/// Text of others: on one line, bounded.
pub(crate) fn shown(text: &str) -> String {
    let cut: String = text.trim().chars().take(LONGEST).collect();
    escape(&cut).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: Value) -> Pod {
        let labels = json!({
            names::ROLE: "bot", names::SLOT: "4", names::REVISION: "r1", names::FLEET: "fleet",
        });
        let mut pod = json!({
            "metadata": {
                "name": "fleet-bot-4-x", "uid": "u", "labels": labels,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": { names::FAILURES: "3", names::SHARE: r#"{"connectionsPerMinute":1,"actionsPerSecond":2,"held":3}"# },
            },
        });
        pod["status"] = status;
        serde_json::from_value(pod).unwrap()
    }

    fn observed(status: Value) -> ObservedPod {
        observe(&pod(status), Heard::nothing("")).unwrap()
    }

    fn conditions(of: &[(&str, &str)]) -> Value {
        of.iter().map(|(type_, status)| json!({ "type": type_, "status": status })).collect()
    }

    fn ended(code: i32, message: &str) -> Value {
        let terminated = json!({
            "exitCode": code, "message": message, "reason": "Error",
            "startedAt": "2026-01-01T00:01:00Z", "finishedAt": "2026-01-01T00:02:00Z",
        });
        json!({ "phase": "Running", "containerStatuses": [
            { "name": "bot", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": { "terminated": terminated } },
        ] })
    }

    #[test]
    fn what_stands_on_a_pod_is_read() {
        let pod = observed(json!({ "phase": "Pending" }));
        assert_eq!((pod.slot, pod.failures, pod.stage), (4, 3, Stage::Pending));
        assert_eq!(pod.share.unwrap().held, 3);
    }

    #[test]
    fn stages_follow_the_status() {
        let running = json!([{ "name": "bot", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": { "running": {} } }]);
        let ready =
            json!([{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:03:00Z" }]);
        assert_eq!(
            observed(json!({ "phase": "Running", "containerStatuses": running })).stage,
            Stage::Starting
        );
        let pod = observed(json!({ "phase": "Running", "containerStatuses": running, "conditions": ready }));
        assert_eq!(pod.stage, Stage::Ready);
        assert_eq!(pod.since.unwrap().to_string(), "2026-01-01T00:03:00Z");
    }

    #[test]
    fn an_end_is_read_while_chrome_still_runs() {
        let farewell =
            r#"{"code":10,"reason":"BrowserNotRebuilt","message":"five browsers in five minutes"}"#;
        let pod = observed(ended(10, farewell));
        let exit = pod.exit().unwrap();
        assert_eq!(exit.why, ExitReason::BrowserNotRebuilt);
        assert_eq!(exit.message.as_deref(), Some("five browsers in five minutes"));
        assert_eq!(exit.at.duration_since(exit.started.unwrap()).as_secs(), 60);
        assert_eq!(exit.stored, None);
        let pod = observed(ended(11, r#"{"code":11,"reason":"Released","stored":12}"#));
        let exit = pod.exit().unwrap();
        assert_eq!((exit.message.as_deref(), exit.stored), (Some("Released"), Some(12)));
    }

    #[test]
    fn a_queue_that_was_made_otherwise_is_read_from_the_last_word() {
        let farewell =
            r#"{"code":13,"reason":"QueueMismatch","message":"inequivalent arg 'x' for queue 'q'"}"#;
        let pod = observed(ended(13, farewell));
        let exit = pod.exit().unwrap();
        assert_eq!(exit.why, ExitReason::QueueMismatch);
        assert_eq!(exit.message.as_deref(), Some("inequivalent arg 'x' for queue 'q'"));
    }

    #[test]
    fn a_hostile_farewell_stays_on_its_line() {
        let pod = observed(ended(1, &format!("no JSON\n\u{1b}[31m{}", "x".repeat(5000))));
        let message = pod.exit().unwrap().message.clone().unwrap();
        assert!(!message.contains(char::is_control) && message.len() < 1000, "{message}");
    }

    #[test]
    fn who_was_taken_away_is_not_to_blame() {
        let pod = observed(json!({ "phase": "Failed", "reason": "Evicted", "message": "low on memory" }));
        assert_eq!(pod.exit().unwrap().why, ExitReason::Evicted);
        assert_eq!(pod.exit().unwrap().message.as_deref(), Some("Evicted: low on memory"));
        let mut status = ended(137, "");
        status["reason"] = json!("Preempting");
        assert_eq!(observed(status).exit().unwrap().why, ExitReason::Evicted);
    }

    #[test]
    fn what_keeps_a_pod_from_starting_is_told() {
        let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "not found" } });
        let pod = observed(json!({ "phase": "Pending", "containerStatuses": [
            { "name": "bot", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": waiting },
        ] }));
        let of = |pod: &ObservedPod| pod.obstacle.clone().map(|found| (found.kind, found.said)).unwrap();
        assert_eq!(of(&pod), (Hindrance::Image, "bot: ImagePullBackOff: not found".into()));
        let no_node = json!([{ "type": "PodScheduled", "status": "False", "message": "0/2 nodes" }]);
        let pod = observed(json!({ "phase": "Pending", "conditions": no_node }));
        assert_eq!(of(&pod), (Hindrance::NoNode, "no node for it: 0/2 nodes".into()));
        let config =
            json!({ "waiting": { "reason": "CreateContainerConfigError", "message": "no key `username`" } });
        let pod = observed(json!({ "phase": "Pending", "initContainerStatuses": [
            { "name": "chrome", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": config },
        ] }));
        assert_eq!(of(&pod).0, Hindrance::Container);
        let unprepared = [("PodScheduled", "True"), ("PodReadyToStartContainers", "False")];
        let pod = observed(json!({ "phase": "Pending", "conditions": conditions(&unprepared) }));
        assert_eq!(of(&pod).0, Hindrance::Volume);
        let ended = observed(json!({ "phase": "Running", "conditions": conditions(&unprepared) }));
        assert_eq!(ended.obstacle, None, "its network is gone because it has ended");
    }

    #[test]
    fn a_slow_node_is_worth_a_word_after_a_while() {
        let scheduled = json!([
            { "type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:05:00Z" },
            { "type": "PodReadyToStartContainers", "status": "False" },
        ]);
        let pod = observed(json!({ "phase": "Pending", "conditions": scheduled }));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(pod.since, Some(at("2026-01-01T00:05:00Z")), "since it has a node");
        assert_eq!(pod.hindered(at("2026-01-01T00:05:30Z")), None);
        assert!(pod.hindered(at("2026-01-01T00:05:31Z")).unwrap().said.contains("volumes"));
    }

    #[test]
    fn a_node_that_is_gone_shows_in_what_is_said_of_its_pods() {
        let of = |phase: &str, ready: &str, containers: &str| {
            let said = conditions(&[("Ready", ready), ("ContainersReady", containers)]);
            observed(json!({ "phase": phase, "conditions": said })).node_gone
        };
        assert!(of("Running", "False", "True"));
        assert!(!of("Running", "False", "False"), "its own probe failed");
        assert!(!of("Running", "True", "True") && !of("Failed", "False", "True"));
        assert!(!observed(json!({ "phase": "Running" })).node_gone);
        let mut placed = pod(json!({ "phase": "Running" }));
        placed.spec = Some(serde_json::from_value(json!({ "nodeName": "n1", "containers": [] })).unwrap());
        assert_eq!(observe(&placed, Heard::nothing("")).unwrap().node.as_deref(), Some("n1"));
    }

    #[test]
    fn a_pod_with_other_labels_is_not_ours() {
        let mut other = pod(json!({}));
        other.metadata.labels.as_mut().unwrap().insert(names::SLOT.into(), "first".into());
        assert!(observe(&other, Heard::nothing("")).is_none());
    }
}
