//! Harming nodes: only on a cluster that `cargo xtask cluster` started, for nothing else can be harmed so.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;

use crate::{space::Space, xtask::cluster};

/// How long one command on a node may take.
const COMMAND_WITHIN: Duration = Duration::from_mins(3);

/// The nodes of the cluster.
pub struct Nodes<'a>(pub &'a Space);

impl Nodes<'_> {
    /// Runs `cargo xtask cluster node COMMAND NODE`.
    pub async fn command(&self, command: &str, node: &str) -> Result<()> {
        cluster(&["node", command, node], COMMAND_WITHIN).await.map(drop)
    }

    /// Waits until the cluster sees a node as ready, or as not ready.
    pub async fn await_ready(&self, node: &str, ready: bool, limit: Duration) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.0.client.clone());
        let what = format!("node {node} is {}", if ready { "Ready" } else { "NotReady" });
        self.0
            .until(&what, limit, async || Ok((is_ready(&nodes.get(node).await?) == ready).then_some(())))
            .await
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
