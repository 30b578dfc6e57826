//! What containers said.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};
use scrapefleet_policy::within;

use crate::{pod::statuses, space::Space};

/// How long one log may take to read; the node that has it may be cut off.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// How much of one log is read, in bytes.
const LONGEST: i64 = 16 << 20;
/// How many are read at the same time.
const AT_ONCE: usize = 8;

/// A log.
#[derive(Debug)]
pub(super) struct Log {
    /// Pod and container: `site-main`, and `site-main.previous` for what one said before it was started again.
    pub(super) name: String,
    /// What was said, or why that is not known.
    pub(super) said: String,
}

/// Whose log is meant.
#[derive(Debug, PartialEq, Eq)]
struct Speaker {
    pod: String,
    container: String,
    /// The container before the present one.
    previous: bool,
}

/// The logs of every container of a namespace, the last so many lines of each.
pub(super) async fn of_namespace(space: &Space, lines: Option<i64>) -> Result<Vec<Log>> {
    let pods: Api<Pod> = space.api();
    let list = pods.list(&ListParams::default()).await.context("list pods")?;
    let speakers = list.iter().flat_map(speakers).map(|speaker| read(&pods, speaker, lines));
    Ok(stream::iter(speakers).buffered(AT_ONCE).collect().await)
}

async fn read(pods: &Api<Pod>, speaker: Speaker, lines: Option<i64>) -> Log {
    let Speaker { pod, container, previous } = speaker;
    let name = format!("{pod}-{container}{}", if previous { ".previous" } else { "" });
    let params = LogParams {
        container: Some(container),
        previous,
        tail_lines: lines,
        limit_bytes: Some(LONGEST),
        ..LogParams::default()
    };
    let said = match within(READ_WITHIN, "read a log", pods.logs(&pod, &params)).await {
        Ok(Ok(said)) => said,
        Ok(Err(error)) => format!("(no log: {error})\n"),
        Err(expired) => format!("(no log: {expired})\n"),
    };
    Log { name, said }
}

/// Every container of a pod, and the one before it where it was started again.
fn speakers(pod: &Pod) -> Vec<Speaker> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let again = |name: &str| statuses(pod).any(|status| status.name == name && status.restart_count > 0);
    let spec = pod.spec.iter();
    let containers = spec.flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let both = containers.flat_map(|container| [(&container.name, false), (&container.name, true)]);
    let known = both.filter(|(container, previous)| !previous || again(container));
    let speaker = |(container, previous): (&String, bool)| Speaker {
        pod: name.to_owned(),
        container: container.clone(),
        previous,
    };
    known.map(speaker).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_container_that_was_started_again_has_an_earlier_log() {
        let status = |name: &str, restarts: i32| json!({ "name": name, "image": "", "imageID": "", "ready": true, "restartCount": restarts });
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "p" },
            "spec": {
                "initContainers": [{ "name": "chrome" }],
                "containers": [{ "name": "bot" }, { "name": "new" }],
            },
            "status": {
                "initContainerStatuses": [status("chrome", 1)],
                "containerStatuses": [status("bot", 0)],
            },
        }))
        .unwrap();
        let speakers = speakers(&pod);
        let found: Vec<_> = speakers.iter().map(|one| (one.container.as_str(), one.previous)).collect();
        assert_eq!(found, [("chrome", false), ("chrome", true), ("bot", false), ("new", false)]);
        assert!(speakers.iter().all(|one| one.pod == "p"));
    }
}
