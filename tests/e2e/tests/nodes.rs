//! Nodes that stop and nodes that are cut off, and how they come back. On a cluster of `cargo xtask cluster` only.

use std::time::Duration;

use anyhow::Result;
use scrapefleet_e2e::{Nodes, in_namespace};
use tokio::sync::Mutex;

/// How long the cluster may take to see that a node is silent: the grace period of 16 s and what it takes to notice.
const SEEN_WITHIN: Duration = Duration::from_mins(1);
/// How long a node may take to be ready again.
const BACK_WITHIN: Duration = Duration::from_secs(90);

/// One test at a time harms a node.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Harms the second node, sees that the cluster notices, repairs it and sees that the cluster notices that too. It is
/// repaired whatever happens between: the tests after this one need it.
async fn harm_and_repair(name: &str, harm: &'static str, repair: &'static str) -> Result<()> {
    let _alone = ALONE.lock().await;
    in_namespace(name, async move |space| {
        let nodes = Nodes(&space);
        nodes.await_ready("node2", true, BACK_WITHIN).await?;
        nodes.command(harm, "node2").await?;
        let seen = nodes.await_ready("node2", false, SEEN_WITHIN).await;
        nodes.command(repair, "node2").await?;
        seen?;
        nodes.await_ready("node2", true, BACK_WITHIN).await
    })
    .await
}

#[tokio::test]
async fn a_stopped_node_is_seen_and_comes_back() -> Result<()> {
    harm_and_repair("node-stop", "stop", "start").await
}

#[tokio::test]
async fn a_node_that_is_cut_off_is_seen_and_comes_back() -> Result<()> {
    harm_and_repair("node-cut", "cut", "heal").await
}
