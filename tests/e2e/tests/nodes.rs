//! Nodes that stop and nodes that are cut off, and how they come back; what reaches a node, and what never leaves it. On a
//! cluster of `cargo xtask cluster` only.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use scrapefleet_e2e::{Nodes, cluster, container, in_namespace, pod_of, terminated};
use serde_json::json;
use tokio::sync::Mutex;

/// How long the cluster may take to see that a node is silent: the grace period of 16 s and what it takes to notice.
const SEEN_WITHIN: Duration = Duration::from_mins(1);
/// How long a node may take to be ready again.
const BACK_WITHIN: Duration = Duration::from_secs(90);
/// How long a pod that says one thing may take to end.
const ENDS_WITHIN: Duration = Duration::from_mins(2);
/// How long an image may take to build and to carry, if it was changed since the cluster was started.
const LOADED_WITHIN: Duration = Duration::from_mins(15);
/// Images, one of each kind: of packages alone, with a program in Go, with the site, with this project's programs.
const IMAGES: [&str; 4] = ["chrome", "minio", "showdown-site", "scrapefleet"];

/// One test at a time harms a node, or needs all of them.
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

#[tokio::test]
async fn nothing_leads_out_of_the_cluster() -> Result<()> {
    let _alone = ALONE.lock().await;
    in_namespace("outside", async |space| {
        // The kernel of a pod's node has no route: refused at once, by an error and not by silence.
        let script = "! (exec 3<>/dev/tcp/192.0.2.1/80) 2> /dev/termination-log";
        space.create::<Pod>(pod_of("caller", &json!([container("main", script)]))).await?;
        let ended = |pod: &Pod| terminated(pod, "main").is_some();
        let pod = space.pod_when("caller", "has ended", ENDS_WITHIN, ended).await?;
        let end = terminated(&pod, "main").context("main")?;
        let said = end.message.as_deref().unwrap_or_default();
        ensure!(end.exit_code == 0 && said.contains("unreachable"), "{end:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_unchanged_image_is_neither_built_nor_carried_again() -> Result<()> {
    let _alone = ALONE.lock().await;
    for image in IMAGES {
        cluster(&["load-image", image], LOADED_WITHIN).await?;
        let again = cluster(&["load-image", image], LOADED_WITHIN).await?;
        let idle = !again.contains("building") && !again.contains("carried");
        ensure!(idle && again.contains("every node has image"), "{image}: {again}");
    }
    Ok(())
}
