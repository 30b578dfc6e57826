//! How soon a fleet is at work. Alone in its executable, for whatever else starts meanwhile takes its share of the machine.
#![allow(clippy::large_futures, reason = "a scene is large; a test holds one")]

use std::{
    collections::BTreeSet,
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, api::ListParams};
use scrapefleet_e2e::{Fleet, HOLDS_WITHIN, Scene, Space, in_namespace};
use scrapefleet_policy::within;
use serde_json::{Value, json};

/// How soon a bot has an item open, from the fleet's application on, on nodes where such pods have run before.
const AT_WORK_WITHIN: Duration = Duration::from_secs(15);
/// How long it is waited for, so that it is told how late it was.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long a bot may take to say what it holds; one that has only just begun says nothing.
const SAID_WITHIN: Duration = Duration::from_secs(1);
/// How long a fleet may take to be gone.
const GONE_WITHIN: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_on_warm_nodes_is_soon_at_work() -> Result<()> {
    in_namespace("speed", async |space| {
        let scene = Scene::start(&space, &json!({ "bots": { "min": 2, "max": 2 } })).await?;
        warm(&scene, &space).await?;

        let own_keys = json!({ "store": { "key": "second/{id}.log" } });
        let began = Instant::now();
        let fleet = Fleet::showdown(&space, "second", scene.site.url(), &scene.backing, &own_keys).await?;
        let at_work = async || Ok(is_at_work(&fleet).await?.then_some(()));
        space.until("a bot has an item open", PATIENCE, at_work).await?;
        let took = began.elapsed();
        // Past the harness, which shows nothing of a test that passes: the figure is of use then.
        writeln!(
            std::io::stderr(),
            "a bot had an item open {:.1} s after its fleet was applied",
            took.as_secs_f64()
        )?;
        ensure!(took <= AT_WORK_WITHIN, "it took {took:.1?}, and {AT_WORK_WITHIN:?} are promised");
        Ok(())
    })
    .await
}

/// Has a first fleet run a bot on every node, and takes it away again. The players play on.
async fn warm(scene: &Scene, space: &Space) -> Result<()> {
    scene.fleet.status_when("has its bots", HOLDS_WITHIN, |status| status.ready == Some(2)).await?;
    scene.fleet.holds(1, HOLDS_WITHIN).await?;
    let bots = scene.fleet.pods("bot").await?;
    let on: BTreeSet<_> = bots.into_iter().filter_map(|bot| bot.spec?.node_name).collect();
    let nodes = nodes(space).await?;
    ensure!(on == nodes, "there are bots on {on:?}, not on each of {nodes:?}");
    scene.fleet.delete().await?;
    scene.fleet.gone(GONE_WITHIN).await
}

/// The nodes that take any pod.
async fn nodes(space: &Space) -> Result<BTreeSet<String>> {
    let nodes: Api<Node> = Api::all(space.client.clone());
    let takes_any =
        |node: &Node| node.spec.as_ref().is_none_or(|spec| spec.taints.iter().flatten().next().is_none());
    let all = nodes.list(&ListParams::default()).await?.items;
    Ok(all.into_iter().filter(takes_any).filter_map(|node| node.metadata.name).collect())
}

/// Whether a bot has an item open, as it says itself: what the fleet's status says is counted by the broker, seconds later.
async fn is_at_work(fleet: &Fleet) -> Result<bool> {
    let runs = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    for bot in fleet.pods("bot").await?.into_iter().filter(runs) {
        let name = bot.metadata.name.unwrap_or_default();
        let said = within(SAID_WITHIN, "a status", fleet.space.ask(&name, "status")).await;
        let Ok(Ok(said)) = said else { continue };
        let said: Value = serde_json::from_str(&said)?;
        let holds = said["holds"].as_array();
        if holds.is_some_and(|holds| holds.iter().any(|hold| hold["step"] != "waiting")) {
            return Ok(true);
        }
    }
    Ok(false)
}
