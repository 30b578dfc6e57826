//! Harming nodes: only on a cluster that `cargo xtask cluster` started, for nothing else can be harmed so.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use kube::api::Api;

use crate::{
    space::{Space, kubeconfig},
    xtask::cluster,
};

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
        self.await_condition(node, "Ready", ready, limit).await
    }

    /// Waits until a node says that its disk is full, or that it is not.
    pub async fn await_full(&self, node: &str, full: bool, limit: Duration) -> Result<()> {
        self.await_condition(node, "DiskPressure", full, limit).await
    }

    async fn await_condition(&self, node: &str, type_: &str, holds: bool, limit: Duration) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.0.client.clone());
        let what = format!("node {node} says that {type_} is {holds}");
        let says = |node: &Node| condition(node, type_).is_some_and(|condition| condition.status == "True");
        self.0.until(&what, limit, async || Ok((says(&nodes.get(node).await?) == holds).then_some(()))).await
    }

    /// What time it was for a node when it last said how it is.
    pub async fn clock(&self, node: &str) -> Result<Option<Timestamp>> {
        let nodes: Api<Node> = Api::all(self.0.client.clone());
        let said =
            condition(&nodes.get(node).await?, "Ready").and_then(|ready| ready.last_heartbeat_time.clone());
        Ok(said.map(|at| at.0))
    }

    /// The folder on this machine where a node has the files of its pods: a file system of its own, which can be filled.
    pub fn disk(node: &str) -> Result<PathBuf> {
        let file = kubeconfig()?;
        let cluster = file.parent().context("a kubeconfig without a folder")?;
        let disk = cluster.join(node).join("kubelet");
        let device = |folder: &Path| -> Result<u64> { Ok(std::fs::metadata(folder)?.dev()) };
        let own = device(&disk).with_context(|| format!("{} is not on this machine", disk.display()))?;
        ensure!(own != device(cluster)?, "{} is no file system of its own", disk.display());
        Ok(disk)
    }
}

fn condition<'a>(node: &'a Node, type_: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == type_)
}
