//! The chart's life beside a fleet at work: upgraded, tested, removed, installed again, and no pod of the fleet notices. On
//! this project's own cluster only: it removes the operator.
#![allow(clippy::large_futures, reason = "a scene is large; a test holds one")]

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::{
    api::rbac::v1::ClusterRole,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, api::ListParams};
use scrapefleet_e2e::{HOLDS_WITHIN, Scene, Space, in_namespace, operator};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

/// How long a change of a fleet may take to be acted on.
const ACTS_WITHIN: Duration = Duration::from_mins(1);

/// The chart of the commit before this one, unpacked; that of this checkout where there is no history, though not in CI: there
/// it would pass for a proof.
async fn chart_before(folder: &TempDir) -> Result<PathBuf> {
    const CHART: &str = "charts/scrapefleet";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let archive = folder.path().join("chart.tar");
    let mut git = Command::new("git");
    git.args(["archive", "--output"]).arg(&archive).args(["HEAD~1", CHART]);
    let output = git.current_dir(&root).stdin(Stdio::null()).output().await.context("start git")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        ensure!(
            std::env::var_os("CI").is_none(),
            "CI needs the commit before this one, to upgrade from it: {said}"
        );
        println!("the chart before is this one: {said}");
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

        // For this namespace alone, as whoever has no rights on the cluster has it.
        let namespaced = format!("watchNamespace={}", space.namespace);
        operator::upgrade_to(&operator::chart(), &[&namespaced, "rbac.aggregate=false"]).await?;
        let roles = cluster_roles(&space).await?;
        ensure!(roles.is_empty(), "an operator of one namespace has roles of the whole cluster: {roles:?}");
        bots(&scene, 2).await?;
        let now = scene.fleet.pod_uids().await?;
        ensure!(working.iter().all(|pod| now.contains(pod)), "a pod was touched: {working:?}, now {now:?}");

        operator::upgrade_to(&operator::chart(), &[]).await?;
        ensure!(
            !cluster_roles(&space).await?.is_empty(),
            "the test does not see the roles of the whole cluster"
        );
        ensure!(scene.fleet.pod_uids().await? == now, "the change of mode touched pods: there were {now:?}");
        bots(&scene, 1).await?;
        scene.check(3).await
    })
    .await
}

/// Has the operator act: wants so many bots, and waits for them.
async fn bots(scene: &Scene, count: usize) -> Result<()> {
    scene.fleet.patch(&json!({ "spec": { "bots": { "max": count, "min": count } } })).await?;
    let there = async || Ok((scene.fleet.pods("bot").await?.len() == count).then_some(()));
    scene.fleet.space.until("the operator acts", ACTS_WITHIN, there).await
}

/// The names of the roles that the release has of the whole cluster.
async fn cluster_roles(space: &Space) -> Result<Vec<String>> {
    let roles: Api<ClusterRole> = Api::all(space.client.clone());
    let of_the_release = ListParams::default().labels("app.kubernetes.io/instance=scrapefleet");
    let roles = roles.list(&of_the_release).await?.items;
    Ok(roles.into_iter().filter_map(|role| role.metadata.name).collect())
}
