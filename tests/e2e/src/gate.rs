//! A way to the object store that can be slow, refuse, or say that it is full: `tests/site/node/gate.mjs` in a pod.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::{
    node_program::{Description, NodeProgram},
    space::Space,
};

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
pub struct Gate(NodeProgram);

impl Gate {
    /// Starts a gate that leads to the platform's object store.
    pub async fn start(space: &Space) -> Result<Self> {
        let variables = [
            ("GATE_TARGET", "http://minio.platform.svc.cluster.local:9000".to_owned()),
            ("GATE_PORT", PORT.to_string()),
            ("GATE_CONTROL_PORT", CONTROL.to_string()),
        ];
        let gate = Description {
            name: NAME,
            command: Some(["/usr/bin/node", "gate.mjs"]),
            variables: &variables,
            port: PORT,
            control: CONTROL,
            ready: json!({ "tcpSocket": { "port": PORT } }),
            starts_within: STARTS_WITHIN,
        };
        Ok(Self(NodeProgram::start(space, gate).await?))
    }

    /// Where it is, from inside the cluster.
    #[must_use]
    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// Has the store seem `slow`, `refusing` or `full`, or as it is with `none`.
    pub async fn set_fault(&self, fault: &str) -> Result<()> {
        self.0.call("fault", Some(json!({ "fault": fault }))).await.map(drop)
    }
}
