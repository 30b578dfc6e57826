//! A way to the object store that can be slow, refuse, or say that it is full: `tests/site/node/gate.mjs` in a pod.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Pod, Service};
use serde_json::json;

use crate::{control::Control, pod::image, space::Space};

/// The name of the pod and of its service.
const NAME: &str = "gate";
/// Its port.
const PORT: u16 = 9000;
/// The port of its control endpoint, inside the pod only.
const CONTROL: u16 = 9001;
/// How long it may take to start.
const STARTS_WITHIN: Duration = Duration::from_mins(1);

/// A gate in a test's namespace.
#[derive(Debug)]
pub struct Gate {
    url: String,
    control: Control,
}

impl Gate {
    /// Starts a gate that leads to the platform's object store.
    pub async fn start(space: &Space) -> Result<Self> {
        let target = "http://minio.platform.svc.cluster.local:9000";
        let variable = |name: &str, value: &str| json!({ "name": name, "value": value });
        space
            .create::<Pod>(json!({
                "metadata": { "name": NAME, "labels": { "app": NAME } },
                "spec": {
                    "terminationGracePeriodSeconds": 2,
                    "automountServiceAccountToken": false,
                    // A service named `gate` would set GATE_PORT, which is the program's own.
                    "enableServiceLinks": false,
                    "containers": [{
                        "name": NAME,
                        "image": image("showdown-site"),
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["/usr/bin/node", "gate.mjs"],
                        "env": [
                            variable("GATE_TARGET", target),
                            variable("GATE_PORT", &PORT.to_string()),
                            variable("GATE_CONTROL_PORT", &CONTROL.to_string()),
                        ],
                        "readinessProbe": { "tcpSocket": { "port": PORT }, "periodSeconds": 1 },
                    }],
                    "affinity": crate::site::beside_services(),
                },
            }))
            .await?;
        space
            .create::<Service>(json!({
                "metadata": { "name": NAME },
                "spec": { "selector": { "app": NAME }, "ports": [{ "port": PORT }] },
            }))
            .await?;
        space.ready(NAME, STARTS_WITHIN).await?;
        let control = Control::open(space, NAME, CONTROL).await?;
        Ok(Self { url: format!("http://{NAME}.{}.svc.cluster.local:{PORT}", space.namespace), control })
    }

    /// Where it is, from inside the cluster.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Has the store seem `slow`, `refusing` or `full`, or as it is with `none`.
    pub async fn set_fault(&self, fault: &str) -> Result<()> {
        self.control.call("fault", Some(json!({ "fault": fault }))).await.map(drop)
    }
}
