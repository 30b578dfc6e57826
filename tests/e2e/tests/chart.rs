//! The chart's life beside a fleet at work: upgraded, tested, removed, installed again, and no pod of the fleet notices. On
//! this project's own cluster only: it removes the operator.
#![allow(clippy::large_futures, reason = "a scene is large; a test holds one")]

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use scrapefleet_e2e::{HOLDS_WITHIN, Scene, in_namespace, operator};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

/// How long a change of a fleet may take to be acted on.
const ACTS_WITHIN: Duration = Duration::from_mins(1);

/// The chart of the commit before this one, unpacked; that of this checkout where there is no history.
async fn chart_before(folder: &TempDir) -> Result<PathBuf> {
    const CHART: &str = "charts/scrapefleet";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let archive = folder.path().join("chart.tar");
    let mut git = Command::new("git");
    git.args(["archive", "--output"]).arg(&archive).args(["HEAD~1", CHART]);
    let output = git.current_dir(&root).stdin(Stdio::null()).output().await.context("start git")?;
    if !output.status.success() {
        println!("the chart before is this one: {}", String::from_utf8_lossy(&output.stderr).trim());
        return Ok(root.join(CHART));
    }
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--file").arg(&archive).current_dir(folder.path()).stdin(Stdio::null());
    ensure!(tar.status().await.context("start tar")?.success(), "the chart before cannot be unpacked");
    Ok(folder.path().join(CHART))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bot_notices_that_the_chart_is_upgraded_removed_and_installed_again() -> Result<()> {
    in_namespace("chart", async |space| {
        let folder = tempfile::tempdir()?;
        let before = chart_before(&folder).await?;
        let scene = Scene::start(&space, &json!({})).await?;
        scene.fleet.holds(2, HOLDS_WITHIN).await?;
        let working = scene.fleet.pod_uids().await?;

        // Operators are exchanged, whatever else differs.
        operator::upgrade_to(&before, &["podAnnotations.chart=before"]).await?;
        operator::upgrade_to(&operator::chart(), &[]).await?;
        operator::test().await?;
        ensure!(scene.fleet.pod_uids().await? == working, "an upgrade touched pods: there were {working:?}");

        operator::uninstall().await?;
        let definitions: Api<CustomResourceDefinition> = Api::all(space.client.clone());
        let definition = definitions.get("scrapefleets.scrapefleet.io").await?;
        ensure!(definition.metadata.deletion_timestamp.is_none(), "the definition went with the chart");
        ensure!(scene.fleet.get().await?.metadata.deletion_timestamp.is_none(), "so did the fleet");
        ensure!(scene.fleet.pod_uids().await? == working, "the removal touched pods: there were {working:?}");

        operator::upgrade_to(&operator::chart(), &[]).await?;
        scene.fleet.patch(&json!({ "spec": { "bots": { "max": 2, "min": 2 } } })).await?;
        let two = async || Ok((scene.fleet.pods("bot").await?.len() == 2).then_some(()));
        space.until("the operator acts again", ACTS_WITHIN, two).await?;
        let now = scene.fleet.pod_uids().await?;
        ensure!(working.iter().all(|pod| now.contains(pod)), "a pod was touched: {working:?}, now {now:?}");
        scene.check(3).await
    })
    .await
}
