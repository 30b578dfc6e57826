//! Harming nodes: only on a cluster that `cargo xtask cluster` started, for nothing else can be harmed so.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use scrapefleet_policy::within;
use tokio::process::Command;

use crate::{space::Space, xtask::xtask};

/// How long one command on a node may take.
const COMMAND_WITHIN: Duration = Duration::from_mins(3);

/// The nodes of the cluster.
pub struct Nodes<'a>(pub &'a Space);

impl Nodes<'_> {
    /// Runs `cargo xtask cluster node COMMAND NODE`.
    pub async fn command(&self, command: &str, node: &str) -> Result<()> {
        let mut xtask = Command::new(tokio::task::spawn_blocking(xtask).await??);
        xtask
            .args(["cluster", "node", command, node])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        xtask.stdin(Stdio::null()).kill_on_drop(true);
        let output = within(COMMAND_WITHIN, "a command on a node", xtask.output()).await??;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "node {command} {node}: {}\n{said}", output.status);
        Ok(())
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
