//! A program of `tests/site/node` in a pod: its service, and its control endpoints, on a port that only the pod itself can reach.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Service};
use serde_json::{Value, json};

use crate::{forward::Forward, pod::image, space::Space};

/// How long a call may take; the longest lets every battle end.
const CALL_WITHIN: Duration = Duration::from_mins(5);

/// What to start.
pub(crate) struct Description<'a> {
    /// The name of the pod and of its service.
    pub(crate) name: &'static str,
    /// Its command; none: the image's own.
    pub(crate) command: Option<[&'a str; 2]>,
    /// Variables of its environment.
    pub(crate) variables: &'a [(&'a str, String)],
    /// The port of its service.
    pub(crate) port: u16,
    /// The port of its control endpoints, inside the pod only.
    pub(crate) control: u16,
    /// What of the container tells that it is ready.
    pub(crate) ready: Value,
    /// How long it may take to start.
    pub(crate) starts_within: Duration,
}

/// A program that runs.
#[derive(Debug)]
pub(crate) struct NodeProgram {
    name: &'static str,
    url: String,
    /// Closed when this is dropped.
    control: Forward,
}

impl NodeProgram {
    /// Starts one in a test's namespace, and waits until it is ready.
    pub(crate) async fn start(space: &Space, wanted: Description<'_>) -> Result<Self> {
        let Description { name, command, variables, port, control, mut ready, starts_within } = wanted;
        let variables = variables.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        ready["periodSeconds"] = json!(1);
        space
            .create::<Pod>(json!({
                "metadata": { "name": name, "labels": { "app": name } },
                "spec": {
                    "terminationGracePeriodSeconds": 2,
                    "automountServiceAccountToken": false,
                    // A service named `site` would set SITE_PORT, which is the program's own.
                    "enableServiceLinks": false,
                    "affinity": beside_services(),
                    "containers": [{
                        "name": name,
                        "image": image("showdown-site"),
                        "imagePullPolicy": "IfNotPresent",
                        "command": command,
                        "env": variables.collect::<Vec<_>>(),
                        "readinessProbe": ready,
                        "volumeMounts": [{ "name": "temporary", "mountPath": "/tmp" }],
                    }],
                    "volumes": [{ "name": "temporary", "emptyDir": {} }],
                },
            }))
            .await?;
        space
            .create::<Service>(json!({
                "metadata": { "name": name },
                "spec": { "selector": { "app": name }, "ports": [{ "port": port }] },
            }))
            .await?;
        space.ready(name, starts_within).await?;
        let url = format!("http://{name}.{}.svc.cluster.local:{port}", space.namespace);
        Ok(Self { name, url, control: Forward::open(space.api(), name, control).await? })
    }

    /// Where it is, from inside the cluster.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Asks a control endpoint, without a body, or tells it something.
    pub(crate) async fn call(&self, path: &str, body: Option<Value>) -> Result<Value> {
        let client = reqwest::Client::builder().timeout(CALL_WITHIN).build()?;
        let url = format!("http://{}/{path}", self.control.address());
        let request = match body {
            Some(body) => client.post(&url).json(&body),
            None => client.get(&url),
        };
        let name = self.name;
        let answer = request.send().await.with_context(|| format!("ask {name} for {path}"))?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        ensure!(status.is_success(), "{path} of {name}: {body}");
        Ok(body)
    }
}

/// With the platform's services, where there is room, so that a node is left that faults can be done to (see tests/platform).
fn beside_services() -> Value {
    json!({ "podAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": {
            "topologyKey": "kubernetes.io/hostname",
            "namespaceSelector": {},
            "labelSelector": { "matchExpressions": [
                { "key": "app", "operator": "In", "values": ["minio", "rabbitmq"] },
            ] },
        },
    }] } })
}
