//! Pods of the tests, and what is read off them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use kube::api::{Api, AttachParams, ListParams};
use scrapefleet_policy::within;
use serde_json::{Value, json};

use crate::{forward::Forward, space::Space};

/// How long a command in a container may take.
const EXEC_WITHIN: Duration = Duration::from_secs(30);
/// How long a program may take to say how it is; it says so from memory.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// The port of every program of the product: it is part of what is asked of them.
const PORT: u16 = 8080;

/// The name pods use for one of the images of `images/`.
#[must_use]
pub fn image(folder: &str) -> String {
    format!("localhost/scrapefleet/{folder}:dev")
}

/// A pod with these containers, which is not started again when they end. More fields of its spec may be added.
#[must_use]
pub fn pod_of(name: &str, containers: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "automountServiceAccountToken": false,
            "containers": containers,
        },
    })
}

/// A container that runs a shell script, in an image that every cluster of the tests has.
#[must_use]
pub fn container(name: &str, script: &str) -> Value {
    json!({
        "name": name,
        "image": image("valkey"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/bash", "-euc", script],
    })
}

/// How a container ended, if it has. Init containers count.
#[must_use]
pub fn terminated<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStateTerminated> {
    let status = statuses(pod).find(|status| status.name == container)?;
    match &status.state {
        Some(ContainerState { terminated: Some(terminated), .. }) => Some(terminated),
        _ => None,
    }
}

/// What is known of the containers of a pod, init containers too.
pub(crate) fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten())
    })
}

/// Whether a pod is ready.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    holds(pod, "Ready")
}

/// Whether a condition of a pod holds.
fn holds(pod: &Pod, condition: &str) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|known| known.type_ == condition && known.status == "True")
}

impl Space {
    /// Waits until a pod is ready.
    pub async fn ready(&self, pod: &str, limit: Duration) -> Result<Pod> {
        self.pod_when(pod, "is ready", limit, |pod| holds(pod, "Ready")).await
    }

    /// Waits until a pod is as wanted.
    pub async fn pod_when(
        &self,
        pod: &str,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Pod) -> bool,
    ) -> Result<Pod> {
        let pods = self.api::<Pod>();
        self.until(&format!("pod {pod} {what}"), limit, async || {
            Ok(pods.get_opt(pod).await?.filter(|pod| wanted(pod)))
        })
        .await
    }

    /// What a program of the product says in a pod at `status`, `metrics` and the like.
    pub async fn ask(&self, pod: &str, path: &str) -> Result<String> {
        let way = Forward::open(self.api(), pod, PORT).await?;
        let client = reqwest::Client::builder().timeout(ANSWERED_WITHIN).build()?;
        let asked = client.get(format!("http://{}/{path}", way.address())).send();
        let answer = asked.await.and_then(reqwest::Response::error_for_status);
        let answer = answer.with_context(|| format!("ask {pod} for /{path}"))?;
        Ok(answer.text().await?)
    }

    /// Runs a command in a container of a pod and waits until it has ended.
    pub async fn exec(&self, pod: &str, container: &str, command: &[&str]) -> Result<()> {
        let params = AttachParams::default().container(container).stdout(false);
        let run = async {
            let mut process = self.api::<Pod>().exec(pod, command.iter().copied(), &params).await?;
            let status = process.take_status().context("no status was asked for")?;
            process.join().await.context("carry the streams")?;
            let status = status.await.context("the connection ended before the command did")?;
            ensure!(
                status.status.as_deref() == Some("Success"),
                "{command:?} in {pod}/{container}: {status:?}"
            );
            Ok(())
        };
        within(EXEC_WITHIN, "a command in a container", run).await?
    }

    /// The same look at another namespace: for the services of the platform.
    #[must_use]
    pub fn elsewhere(&self, namespace: &str) -> Self {
        Self { client: self.client.clone(), namespace: namespace.to_owned() }
    }

    /// The name of the ready pod with this `app` label.
    pub async fn pod_of_app(&self, app: &str, limit: Duration) -> Result<String> {
        let pods: Api<Pod> = self.api();
        let params = ListParams::default().labels(&format!("app={app}"));
        self.until(&format!("a ready pod of {app}"), limit, async || {
            let list = pods.list(&params).await?;
            let ready = list
                .items
                .into_iter()
                .find(|pod| holds(pod, "Ready") && pod.metadata.deletion_timestamp.is_none());
            Ok(ready.and_then(|pod| pod.metadata.name))
        })
        .await
        .context("is the platform up? `cargo xtask cluster up` brings it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "p" }, "status": status })).unwrap()
    }

    #[test]
    fn the_end_of_a_container_is_found_in_either_list() {
        let ended = |name| {
            json!([{ "name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "terminated": { "exitCode": 3 } } }])
        };
        assert_eq!(terminated(&pod(&json!({ "containerStatuses": ended("a") })), "a").unwrap().exit_code, 3);
        assert_eq!(
            terminated(&pod(&json!({ "initContainerStatuses": ended("b") })), "b").unwrap().exit_code,
            3
        );
        assert!(terminated(&pod(&json!({ "containerStatuses": ended("a") })), "b").is_none());
    }

    #[test]
    fn a_condition_holds_only_when_it_is_true() {
        let with = |status: &str| pod(&json!({ "conditions": [{ "type": "Ready", "status": status }] }));
        assert!(holds(&with("True"), "Ready"));
        assert!(!holds(&with("False"), "Ready") && !holds(&with("True"), "PodScheduled"));
    }
}
