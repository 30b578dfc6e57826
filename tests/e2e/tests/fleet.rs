//! Fleets at work: what a person applies, and what becomes of it. Every test has a namespace of its own, all share one
//! broker, and all fleets have the same name.
#![allow(clippy::large_futures, reason = "a scene is large; a test holds one")]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{autoscaling::v2::HorizontalPodAutoscaler, core::v1::Pod};
use kube::api::{Patch, PatchParams};
use scrapefleet_api::{
    ScrapeFleet,
    status::{BotCondition, BotSummary, Phase},
};
use scrapefleet_e2e::{Fleet, HOLDS_WITHIN, Scene, Space, in_namespace, operator};
use serde_json::{Value, json};

/// How long a change of the number of bots may take.
const SCALES_WITHIN: Duration = Duration::from_mins(2);
/// How long anything of a deleted fleet may be there: its pods have 30 s to give back what they hold, and the API server and
/// the broker take their time.
const GONE_WITHIN: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread")]
async fn every_battle_is_in_the_bucket_once() -> Result<()> {
    in_namespace("fleet", async |space| {
        let scene = Scene::start_restricted(&space, &json!({})).await?;
        scene.fleet.holds(3, HOLDS_WITHIN).await?;
        scene.fleet.stores(10, Duration::from_mins(5)).await?;
        programs_tell_their_figures(&scene.fleet).await?;
        scene.check(10).await
    })
    .await
}

/// Under the names that dashboards for controllers know, and those of the product, at /metrics of every program.
async fn programs_tell_their_figures(fleet: &Fleet) -> Result<()> {
    let system = operator::space_of(&fleet.space);
    let (_, leader) = operator::leading_pod(&system).await?;
    let bots = format!(
        r#"scrapefleet_operator_bots{{fleet="{}",namespace="{}",state="ready"}}"#,
        fleet.name, fleet.space.namespace
    );
    let of_the_operator = [
        (r#"controller_runtime_reconcile_total{controller="scrapefleet",result="requeue_after"}"#, 1.0),
        (r#"workqueue_depth{name="scrapefleet"}"#, 0.0),
        ("rest_client_requests_total{", 1.0),
        (r#"leader_election_master_status{name="scrapefleet"}"#, 1.0),
        (bots.as_str(), 1.0),
    ];
    tells(&figures(&system, &leader).await?, &of_the_operator)?;

    let bot = fleet.pods("bot").await?.pop().context("no bot")?;
    let of_a_bot =
        [(r#"scrapefleet_worker_items_total{outcome="stored"}"#, 1.0), ("scrapefleet_worker_held{", 0.0)];
    tells(&figures(&fleet.space, &bot).await?, &of_a_bot)?;

    // One watcher is active, and the other stands by.
    let mut of_watchers = Vec::new();
    for watcher in fleet.pods("watcher").await? {
        of_watchers.push(figures(&fleet.space, &watcher).await?);
    }
    let active = |text: &&String| figure(text, "scrapefleet_watcher_active") == Some(1.0);
    let active =
        of_watchers.iter().find(active).with_context(|| format!("no watcher is active: {of_watchers:?}"))?;
    tells(active, &[("scrapefleet_watcher_discovered_total", 1.0)])
}

/// What a pod says at /metrics.
async fn figures(space: &Space, pod: &Pod) -> Result<String> {
    space.ask(pod.metadata.name.as_deref().context("a pod without a name")?, "metrics").await
}

/// The first figure whose name, with its labels, begins so.
fn figure(text: &str, begins: &str) -> Option<f64> {
    text.lines().find(|line| line.starts_with(begins))?.rsplit(' ').next()?.parse().ok()
}

/// Whether each of these figures is there, and at least so much.
fn tells(text: &str, wanted: &[(&str, f64)]) -> Result<()> {
    for (begins, least) in wanted {
        ensure!(
            figure(text, begins).is_some_and(|found| found >= *least),
            "no {begins} of {least} or more in\n{text}"
        );
    }
    Ok(())
}

/// More bots, fewer bots, more again: what is held goes on elsewhere, and nothing is lost or doubled.
#[tokio::test(flavor = "multi_thread")]
async fn bots_come_and_go_without_a_trace() -> Result<()> {
    in_namespace("scale", async |space| {
        let scene =
            Scene::start(&space, &json!({ "bots": { "min": 1, "max": 3, "holdsPerBot": 4 } })).await?;
        let fleet = &scene.fleet;
        fleet.holds(3, HOLDS_WITHIN).await?;
        fleet.status_when("has two bots or more", SCALES_WITHIN, |status| status.ready >= Some(2)).await?;

        fleet.patch(&json!({ "spec": { "bots": { "max": 1 } } })).await?;
        fleet.status_when("has one bot", SCALES_WITHIN, |status| status.replicas == Some(1)).await?;

        let fleets = space.api::<ScrapeFleet>();
        fleet.patch(&json!({ "spec": { "bots": { "max": 3 } } })).await?;
        let scale = json!({ "spec": { "replicas": 2 } });
        fleets.patch_scale(&fleet.name, &PatchParams::default(), &Patch::Merge(&scale)).await?;
        fleet.status_when("has two bots", SCALES_WITHIN, |status| status.ready >= Some(2)).await?;
        scene.check(5).await
    })
    .await
}

/// A change of the manifest exchanges the bot for another, the new one first, while battles are held.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_manifest_exchanges_bots_and_loses_nothing() -> Result<()> {
    in_namespace("edit", async |space| {
        let scene = Scene::start(&space, &json!({})).await?;
        let fleet = &scene.fleet;
        fleet.holds(3, HOLDS_WITHIN).await?;
        let old = fleet.pod_names("bot").await?;
        fleet.patch(&json!({ "spec": { "bots": { "holdsPerBot": 10 } } })).await?;
        space
            .until("another bot is there alone", SCALES_WITHIN, async || {
                let now = fleet.pod_names("bot").await?;
                Ok((now.len() == 1 && now != old).then_some(()))
            })
            .await?;
        fleet.condition("Progressing", "Settled", SCALES_WITHIN).await?;
        scene.check(3).await
    })
    .await
}

/// An autoscaler sees a fleet as it sees a Deployment, and the fleet follows it.
#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_scales_a_fleet() -> Result<()> {
    in_namespace("hpa", async |space| {
        // Kubernetes has no scale to read where no number is set.
        let bots = json!({ "bots": { "min": 1, "max": 3, "replicas": 1 } });
        let scene = Scene::start(&space, &bots).await?;
        scene.fleet.holds(2, HOLDS_WITHIN).await?;
        // Its fewest are more than there are: it acts without figures, which this cluster's pods have none of.
        let object = json!({
            "metadata": { "name": "showdown" },
            "spec": {
                "scaleTargetRef": { "apiVersion": "scrapefleet.io/v1alpha1", "kind": "ScrapeFleet", "name": "showdown" },
                "minReplicas": 2, "maxReplicas": 3,
                "metrics": [{ "type": "Resource", "resource": {
                    "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 } } }],
            },
        });
        space.create::<HorizontalPodAutoscaler>(object).await?;
        let fleet = &scene.fleet;
        fleet.status_when("has two bots", SCALES_WITHIN, |status| status.ready == Some(2)).await?;
        ensure!(fleet.get().await?.spec.bots.replicas == Some(2), "somebody else made two of it");
        scene.check(3).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_fleet_holds_nothing_and_goes_on_where_it_was() -> Result<()> {
    in_namespace("suspend", async |space| {
        let scene = Scene::start(&space, &json!({})).await?;
        let fleet = &scene.fleet;
        fleet.holds(3, HOLDS_WITHIN).await?;
        fleet.patch(&json!({ "spec": { "suspend": true } })).await?;
        let suspended = |phase: Option<Phase>| phase == Some(Phase::Suspended);
        fleet.status_when("is suspended", SCALES_WITHIN, |status| suspended(status.phase)).await?;
        ensure!(fleet.pods("bot").await?.is_empty(), "a suspended fleet has bots");
        fleet.patch(&json!({ "spec": { "suspend": false } })).await?;
        fleet.holds(3, HOLDS_WITHIN).await?;
        scene.check_discovered(3).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_fleet_leaves_no_pod_and_keeps_its_queue() -> Result<()> {
    in_namespace("delete", async |space| {
        let scene = Scene::start(&space, &json!({})).await?;
        let fleet = &scene.fleet;
        fleet.holds(3, HOLDS_WITHIN).await?;
        let applied = fleet.get().await?;
        fleet.delete().await?;
        fleet.gone(SCALES_WITHIN).await?;
        space
            .until("no pod of the fleet is left", SCALES_WITHIN, async || {
                let left = [fleet.pod_names("bot").await?, fleet.pod_names("watcher").await?].concat();
                Ok(left.is_empty().then_some(()))
            })
            .await?;
        let ledger = scene.fleet.ledger_of(&applied, &scene.backing).await?;
        ensure!(ledger.balances() && ledger.discovered > 0, "{ledger:?}");
        Ok(())
    })
    .await
}

/// Two fleets have one name, one site and one broker; what is deleted of the one is nothing of the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_is_deleted_with_its_queue_leaves_its_namesake_alone() -> Result<()> {
    in_namespace("doomed", async |space| {
        in_namespace("spared", async |other| {
            let one_watcher = json!({ "watcher": { "standby": false } });
            let mut with_its_queue = one_watcher.clone();
            with_its_queue["queue"] = json!({ "rabbitmq": { "onDelete": "Delete" } });
            let doomed = Scene::quiet(&space, &with_its_queue).await?;
            let spared = doomed.beside(&other, &one_watcher).await?;
            doomed.site.resume_players().await?;
            doomed.fleet.holds(2, HOLDS_WITHIN).await?;
            spared.fleet.holds(2, HOLDS_WITHIN).await?;
            let (before, pods) = (on_the_broker(&doomed).await?, spared.fleet.pod_uids().await?);
            ensure!(!before.is_empty(), "the broker has nothing of the fleet");

            doomed.fleet.delete().await?;
            space
                .until("nothing of the fleet is left", GONE_WITHIN, async || {
                    let fleet = space.api::<ScrapeFleet>().get_opt(&doomed.fleet.name).await?;
                    let pods = doomed.fleet.all_pods().await?.into_iter().filter_map(|pod| pod.metadata.name);
                    let mut left: Vec<_> = pods.collect();
                    left.extend(fleet.and_then(|fleet| fleet.metadata.name));
                    left.extend(on_the_broker(&doomed).await?);
                    ensure!(left.is_empty(), "left: {left:?}");
                    Ok(Some(()))
                })
                .await?;
            let now = spared.fleet.pod_uids().await?;
            ensure!(now == pods, "pods of the other fleet were touched: {pods:?}, now {now:?}");
            spared.check(3).await
        })
        .await
    })
    .await
}

/// What the broker has of a scene's fleet.
async fn on_the_broker(scene: &Scene) -> Result<Vec<String>> {
    scene.backing.on_the_broker(&scene.fleet.name).await
}

/// A bot that a person looks at is kept as it is, and another takes its place; a fleet that is paused stays as it is, whatever is
/// wanted of it, until it is no longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_bot_and_a_paused_fleet_are_left_alone() -> Result<()> {
    in_namespace("fence", async |space| {
        let scene = Scene::quiet(&space, &json!({ "watcher": { "standby": false } })).await?;
        let fleet = &scene.fleet;
        fleet.status_when("has its bot", SCALES_WITHIN, |status| status.ready == Some(1)).await?;
        let sick = fleet.pods("bot").await?.pop().context("no bot")?.metadata;
        let (name, uid) = (sick.name.context("no name")?, sick.uid.context("no uid")?);

        fence(&space, &name, json!("true")).await?;
        let fenced = |bot: &BotSummary| bot.pod == name && bot.state == BotCondition::Fenced;
        fleet
            .status_when("has another bot beside the fenced one", SCALES_WITHIN, |status| {
                status.ready == Some(1) && status.bots.len() == 2 && status.bots.iter().any(fenced)
            })
            .await?;
        let before = fleet.pod_uids().await?;
        ensure!(before.contains(&uid), "the fenced pod is gone");

        pause(fleet, json!("true")).await?;
        fleet.status_when("is paused", SCALES_WITHIN, |status| status.phase == Some(Phase::Paused)).await?;
        fleet.patch(&json!({ "spec": { "bots": { "min": 2, "max": 2 } } })).await?;
        let generation = fleet.get().await?.metadata.generation;
        // A status is written when what follows from the manifest has been done.
        let seen = fleet
            .status_when("was looked at", SCALES_WITHIN, |status| status.observed_generation == generation)
            .await?;
        ensure!(seen.desired == Some(2) && seen.phase == Some(Phase::Paused), "{seen:?}");
        let now = fleet.pod_uids().await?;
        ensure!(now == before, "a paused fleet was changed: {before:?}, now {now:?}");

        pause(fleet, Value::Null).await?;
        fleet.status_when("has two bots", SCALES_WITHIN, |status| status.ready == Some(2)).await?;
        let now = fleet.pod_uids().await?;
        ensure!(before.iter().all(|pod| now.contains(pod)), "a pod was touched: {before:?}, now {now:?}");

        fence(&space, &name, Value::Null).await?;
        let two = async || Ok((fleet.pods("bot").await?.len() == 2).then_some(()));
        space.until("the pod counts again, and one is too many", SCALES_WITHIN, two).await?;
        fleet.condition("Progressing", "Settled", SCALES_WITHIN).await?;
        Ok(())
    })
    .await
}

/// As `kubectl annotate pod` does; null takes it back.
async fn fence(space: &Space, pod: &str, value: Value) -> Result<()> {
    let fenced = Patch::Merge(json!({ "metadata": { "annotations": { "scrapefleet.io/fenced": value } } }));
    space.api::<Pod>().patch(pod, &PatchParams::default(), &fenced).await?;
    Ok(())
}

/// As `kubectl annotate scrapefleet` does; null takes it back.
async fn pause(fleet: &Fleet, value: Value) -> Result<()> {
    fleet.patch(&json!({ "metadata": { "annotations": { "scrapefleet.io/paused": value } } })).await
}
