//! A Showdown site of a test's own: the real server with players, and what it logged.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Service};
use scrapefleet_test_site::GroundTruth;
use serde_json::{Value, json};

use crate::{forward::Forward, pod::image, space::Space};

/// The name of the pod and of its service.
const NAME: &str = "site";
/// The port of its pages.
const PAGES: u16 = 8000;
/// The port of its control endpoints, inside the pod only.
const CONTROL: u16 = 8001;
/// How long the server may take to start.
const STARTS_WITHIN: Duration = Duration::from_mins(2);
/// How long a control call may take; the longest lets every battle end.
const CALL_WITHIN: Duration = Duration::from_mins(5);

/// A Showdown site in a test's namespace.
#[derive(Debug)]
pub struct Site {
    url: String,
    control: Forward,
}

impl Site {
    /// Starts a site where so many pairs of players battle, each thinking so long before a choice.
    pub async fn start(space: &Space, pairs: u32, choice: Duration) -> Result<Self> {
        let variable = |name: &str, value: String| json!({ "name": name, "value": value });
        space
            .create::<Pod>(json!({
                "metadata": { "name": NAME, "labels": { "app": NAME } },
                "spec": {
                    "terminationGracePeriodSeconds": 2,
                    "automountServiceAccountToken": false,
                    // A service named `site` would set SITE_PORT, which is the program's own.
                    "enableServiceLinks": false,
                    // With the platform's services, where there is room: see tests/platform.
                    "affinity": { "podAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
                        "weight": 100,
                        "podAffinityTerm": {
                            "topologyKey": "kubernetes.io/hostname",
                            "namespaceSelector": {},
                            "labelSelector": { "matchExpressions": [
                                { "key": "app", "operator": "In", "values": ["minio", "rabbitmq"] },
                            ] },
                        },
                    }] } },
                    "containers": [{
                        "name": NAME,
                        "image": image("showdown-site"),
                        "imagePullPolicy": "IfNotPresent",
                        "env": [
                            variable("SITE_PAIRS", pairs.to_string()),
                            variable("SITE_CHOICE_MS", choice.as_millis().to_string()),
                            variable("SITE_CONTROL_PORT", CONTROL.to_string()),
                        ],
                        "readinessProbe": { "httpGet": { "path": "/", "port": PAGES }, "periodSeconds": 1 },
                        "volumeMounts": [{ "name": "temporary", "mountPath": "/tmp" }],
                    }],
                    "volumes": [{ "name": "temporary", "emptyDir": {} }],
                },
            }))
            .await?;
        space
            .create::<Service>(json!({
                "metadata": { "name": NAME },
                "spec": { "selector": { "app": NAME }, "ports": [{ "port": PAGES }] },
            }))
            .await?;
        space.ready(NAME, STARTS_WITHIN).await?;
        let control = Forward::open(space.api(), NAME, CONTROL).await?;
        Ok(Self { url: format!("http://{NAME}.{}.svc.cluster.local:{PAGES}", space.namespace), control })
    }

    /// Where it is, from inside the cluster.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets the battles that go on end soon, and begins no more.
    pub async fn stop_players(&self) -> Result<()> {
        self.call("players/stop", Some(json!({ "hurry": true }))).await.map(drop)
    }

    /// Lets players begin battles again.
    pub async fn resume_players(&self) -> Result<()> {
        self.call("players/resume", Some(json!({}))).await.map(drop)
    }

    /// Has the pages answer wrongly, as `unavailable`, or as they should with `none`.
    pub async fn set_fault(&self, fault: &str) -> Result<()> {
        self.call("fault", Some(json!({ "fault": fault }))).await.map(drop)
    }

    /// Closes every connection to the server once.
    pub async fn cut(&self) -> Result<()> {
        self.call("cut", Some(json!({}))).await.map(drop)
    }

    /// Every battle that the server logged as ended.
    pub async fn battles(&self) -> Result<Vec<GroundTruth>> {
        Ok(serde_json::from_value(self.call("battles", None).await?)?)
    }

    async fn call(&self, path: &str, body: Option<Value>) -> Result<Value> {
        let client = reqwest::Client::builder().timeout(CALL_WITHIN).build()?;
        let url = format!("http://{}/{path}", self.control.address());
        let request = match body {
            Some(body) => client.post(&url).json(&body),
            None => client.get(&url),
        };
        let answer = request.send().await.with_context(|| format!("ask the site for {path}"))?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        ensure!(status.is_success(), "the site's {path}: {body}");
        Ok(body)
    }
}
