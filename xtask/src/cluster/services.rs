//! How the services of the platform are, for a person: ready, or why not.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

use super::layout::ClusterLayout;
use super::platform::NAMESPACE;
use super::supervise::kubectl;

/// How long the API server may take to answer; `status` is asked most when something is wrong.
const ANSWERS_WITHIN: &str = "--request-timeout=5s";

/// A line per pod of the platform.
pub(crate) fn report(layout: &ClusterLayout) -> String {
    let pods = kubectl(layout).args([ANSWERS_WITHIN, "--namespace", NAMESPACE, "get", "pods", "-o", "json"]);
    match pods.output() {
        Ok(answer) => describe(&answer).unwrap_or_else(|error| format!("platform: {error:#}\n")),
        Err(_) => "platform: not known, the API server does not answer\n".to_owned(),
    }
}

fn describe(answer: &str) -> Result<String> {
    let pods: Value = serde_json::from_str(answer).context("kubectl did not answer with JSON")?;
    let pods = pods["items"].as_array().context("kubectl answered without a list")?;
    if pods.is_empty() {
        return Ok("platform: not started (`cluster up` does)\n".to_owned());
    }
    let mut text = String::new();
    for pod in pods {
        let service = pod["metadata"]["labels"]["app"].as_str().unwrap_or("?");
        let name = pod["metadata"]["name"].as_str().unwrap_or("?");
        let place = pod["spec"]["nodeName"].as_str().unwrap_or("no node");
        let _ = match why_not_ready(pod) {
            None => writeln!(text, "{service:<26} ready    pod {name} on {place}"),
            Some(why) => writeln!(text, "{service:<26} NOT READY  pod {name} on {place}: {why}"),
        };
    }
    Ok(text)
}

/// Why a pod is not ready, in the words of who knows best; none when it is.
fn why_not_ready(pod: &Value) -> Option<String> {
    let status = &pod["status"];
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return Some("is being deleted".to_owned());
    }
    let condition = |kind: &str| list(&status["conditions"]).find(|condition| condition["type"] == kind);
    if condition("Ready").is_some_and(|ready| ready["status"] == "True") {
        return None;
    }
    let of_containers = ["initContainerStatuses", "containerStatuses"].map(|name| list(&status[name]));
    let container = of_containers.into_iter().flatten().find_map(why_a_container_waits);
    let scheduled = condition("PodScheduled").filter(|scheduled| scheduled["status"] != "True").map(words);
    let ready = condition("Ready").map(words).filter(|words| !words.is_empty());
    let phase = || status["phase"].as_str().unwrap_or("nothing is known of it").to_owned();
    Some(scheduled.or(container).or(ready).unwrap_or_else(phase))
}

/// Why a container does not run; none when it does, or has ended well.
fn why_a_container_waits(container: &Value) -> Option<String> {
    let state = &container["state"];
    let ended = &state["terminated"];
    let waits = [&state["waiting"], ended].into_iter().find(|state| state.is_object())?;
    if waits["exitCode"] == 0 || waits["reason"] == "PodInitializing" {
        return None;
    }
    let code = waits["exitCode"].as_i64().map(|code| format!(" (exit code {code})")).unwrap_or_default();
    Some(format!("container {}: {}{code}", container["name"].as_str().unwrap_or("?"), words(waits)))
}

/// What Kubernetes says of a state, on one line: its reason and its message.
fn words(state: &Value) -> String {
    let parts = ["reason", "message"].map(|name| state[name].as_str().unwrap_or_default().trim());
    let said: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    said.join(": ").replace('\n', " ")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &Value) -> Value {
        json!({
            "metadata": { "name": "minio-0", "labels": { "app": "minio" } },
            "spec": { "nodeName": "node2" },
            "status": status,
        })
    }

    #[test]
    fn a_pod_that_is_ready_says_where_it_is() {
        let ready = pod(&json!({ "conditions": [{ "type": "Ready", "status": "True" }] }));
        let text = describe(&json!({ "items": [ready] }).to_string()).unwrap();
        assert_eq!(text, "minio                      ready    pod minio-0 on node2\n");
        let text = describe(&json!({ "items": [] }).to_string()).unwrap();
        assert!(text.contains("not started"), "{text}");
    }

    #[test]
    fn a_pod_that_is_not_ready_says_why_in_the_words_of_who_knows_best() {
        let not_ready = json!({ "type": "Ready", "status": "False", "reason": "ContainersNotReady" });
        let table = [
            (
                json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                                         "message": "0/2 nodes are available" }] }),
                "Unschedulable: 0/2 nodes are available",
            ),
            (
                json!({ "conditions": [not_ready], "containerStatuses": [
                    { "name": "minio", "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } } }] }),
                "container minio: CrashLoopBackOff: back-off",
            ),
            (
                json!({ "conditions": [not_ready],
                        "initContainerStatuses": [{ "name": "own", "state": { "terminated": { "reason": "Error", "exitCode": 3 } } }],
                        "containerStatuses": [{ "name": "minio", "state": { "waiting": { "reason": "PodInitializing" } } }] }),
                "container own: Error (exit code 3)",
            ),
            (
                json!({ "conditions": [not_ready], "containerStatuses": [{ "name": "minio", "state": { "running": {} } }] }),
                "ContainersNotReady",
            ),
            (json!({ "phase": "Pending" }), "Pending"),
        ];
        for (status, why) in table {
            assert_eq!(why_not_ready(&pod(&status)).as_deref(), Some(why), "{status}");
        }
    }

    #[test]
    fn an_answer_that_is_none_is_an_error() {
        assert!(describe("").is_err() && describe("{}").is_err());
    }
}
