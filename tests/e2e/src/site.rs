//! A Showdown site of a test's own: the real server with players, and what it logged.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Pod, Service};
use scrapefleet_test_site::GroundTruth;
use serde_json::{Value, json};

use crate::{control::Control, pod::image, space::Space};

/// The name of the pod and of its service.
const NAME: &str = "site";
/// The port of its pages.
const PAGES: u16 = 8000;
/// The port of its control endpoints, inside the pod only.
const CONTROL: u16 = 8001;
/// How long the server may take to start.
const STARTS_WITHIN: Duration = Duration::from_mins(2);

/// A Showdown site in a test's namespace.
#[derive(Debug)]
pub struct Site {
    url: String,
    control: Control,
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
                    "affinity": beside_services(),
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
        let control = Control::open(space, NAME, CONTROL).await?;
        Ok(Self { url: format!("http://{NAME}.{}.svc.cluster.local:{PAGES}", space.namespace), control })
    }

    /// Where it is, from inside the cluster.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets the battles that go on end soon, and begins no more.
    pub async fn stop_players(&self) -> Result<()> {
        self.control.call("players/stop", Some(json!({ "hurry": true }))).await.map(drop)
    }

    /// Lets players begin battles again.
    pub async fn resume_players(&self) -> Result<()> {
        self.control.call("players/resume", Some(json!({}))).await.map(drop)
    }

    /// Has the pages answer wrongly, as `unavailable`, or as they should with `none`.
    pub async fn set_fault(&self, fault: &str) -> Result<()> {
        self.control.call("fault", Some(json!({ "fault": fault }))).await.map(drop)
    }

    /// Closes every connection to the server once.
    pub async fn cut(&self) -> Result<()> {
        self.control.call("cut", Some(json!({}))).await.map(drop)
    }

    /// Has a player of a battle say what ends every page that shows it, now and whenever it is opened again.
    pub async fn poison(&self, battle: &str) -> Result<()> {
        self.control.call("players/poison", Some(json!({ "id": battle }))).await.map(drop)
    }

    /// Every battle that the server logged as ended.
    pub async fn battles(&self) -> Result<Vec<GroundTruth>> {
        Ok(serde_json::from_value(self.control.call("battles", None).await?)?)
    }
}

/// Where pods of tests are best: with the platform's services, where there is room, so that a node is left that faults can be
/// done to (see tests/platform).
pub(crate) fn beside_services() -> Value {
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
