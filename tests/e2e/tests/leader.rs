//! The operator dies: another goes on, and no pod of a fleet notices. On this project's own cluster only: it kills
//! processes, and reads the API server's audit log.
#![allow(clippy::large_futures, reason = "a scene is large; a test holds one")]

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::api::{Patch, PatchParams};
use rustix::process::Signal;
use scrapefleet_api::status::Phase;
use scrapefleet_e2e::{
    HOLDS_WITHIN, Scene, Space, in_namespace,
    operator::{self, leader, leading_pod},
    processes,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// The operator's program.
const PROGRAM: &str = "scrapefleet-operator";
/// How soon after the death of the leader the standby acts.
const STANDBY_ACTS_WITHIN: Duration = Duration::from_secs(15);
/// How long a change of a fleet may take to be acted on.
const ACTS_WITHIN: Duration = Duration::from_secs(30);
/// How long nothing is written for a fleet where nothing happens.
const IDLE: Duration = Duration::from_mins(1);
/// How many such times there are: a pod that answers late, and is told of, makes one that is not idle.
const TIMES: usize = 3;

/// One test at a time harms the operator, or counts what it writes.
static OPERATOR: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_and_no_pod_is_touched() -> Result<()> {
    let _turn = OPERATOR.lock().await;
    in_namespace("leader", async |space| {
        let scene = Scene::start(&space, &json!({})).await?;
        scene.fleet.holds(2, HOLDS_WITHIN).await?;
        let pods = scene.fleet.pod_uids().await?;
        let system = operator::space_of(&space);
        let (old, pod) = leading_pod(&system).await?;
        processes::signal(&pod, PROGRAM, Signal::KILL)?;
        let killed = Instant::now();
        // Wanted while nobody leads: who makes it true has taken over.
        scene.fleet.patch(&json!({ "spec": { "bots": { "max": 2, "min": 2 } } })).await?;
        let left = STANDBY_ACTS_WITHIN.saturating_sub(killed.elapsed());
        let two = async || Ok((scene.fleet.pods("bot").await?.len() == 2).then_some(()));
        space.until("the standby makes a second bot", left, two).await?;
        println!("the standby acted after {:.1} s", killed.elapsed().as_secs_f64());
        ensure!(leader(&system).await? != old, "{old} was killed, and leads");
        let now = scene.fleet.pod_uids().await?;
        ensure!(pods.iter().all(|pod| now.contains(pod)), "a pod was touched: {pods:?}, now {now:?}");
        scene.check(3).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn scraping_goes_on_without_an_operator() -> Result<()> {
    let _turn = OPERATOR.lock().await;
    in_namespace("headless", async |space| {
        let scene = Scene::start(&space, &json!({})).await?;
        scene.fleet.holds(2, HOLDS_WITHIN).await?;
        let pods = scene.fleet.pod_uids().await?;
        let system = operator::space_of(&space);
        // They die without a word, as with their machines: nobody ends in order, and nobody gives the Lease back. Only then
        // are they kept from starting again.
        for pod in two_that_run(&system).await? {
            processes::signal(&pod, PROGRAM, Signal::KILL)?;
        }
        replicas(&system, 0).await?;
        let before = scene.stored().await?;
        let stores = async || Ok((scene.stored().await? >= before + 3).then_some(()));
        let went_on =
            space.until("three more are stored without an operator", Duration::from_mins(3), stores).await;
        // Also when it failed: other tests need an operator.
        replicas(&system, 2).await?;
        went_on?;
        let back = async || Ok(leader(&system).await.ok());
        system.until("an operator leads again", Duration::from_mins(1), back).await?;
        scene.fleet.stores(1, ACTS_WITHIN).await?;
        ensure!(scene.fleet.pod_uids().await? == pods, "a pod was touched");
        scene.check(3).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_for_an_idle_fleet() -> Result<()> {
    let _turn = OPERATOR.lock().await;
    in_namespace("idle", async |space| {
        let scene = Scene::quiet(&space, &json!({})).await?;
        let running = |phase: Option<Phase>| phase == Some(Phase::Running);
        scene.fleet.status_when("runs", ACTS_WITHIN, |status| running(status.phase)).await?;
        let log = audit_log()?;
        space
            .until("the operator has written the last", Duration::from_mins(2), async || {
                let before = writes(&log, &space.namespace).await?.len();
                tokio::time::sleep(Duration::from_secs(10)).await;
                Ok((writes(&log, &space.namespace).await?.len() == before).then_some(()))
            })
            .await?;
        let before = writes(&log, &space.namespace).await?;
        ensure!(!before.is_empty(), "the audit log has no write of the operator: {}", log.display());
        let mut known = before.len();
        for _ in 0..TIMES {
            tokio::time::sleep(IDLE).await;
            let all = writes(&log, &space.namespace).await?;
            if all.len() == known {
                return Ok(());
            }
            for write in all.iter().skip(known) {
                println!("written for an idle fleet: {write}");
            }
            let status = scene.fleet.status_when("is there", ACTS_WITHIN, |_| true).await?;
            println!("its status now: {}", serde_json::to_string(&status)?);
            known = all.len();
        }
        bail!("the operator wrote in each of {TIMES} times of {IDLE:?} for a fleet where nothing happens")
    })
    .await
}

/// The pods of both operators, once their programs run: another test may have ended one a moment ago.
async fn two_that_run(system: &Space) -> Result<Vec<Pod>> {
    let runs = |pod: &Pod| processes::running(pod, PROGRAM).is_ok();
    let look = async || {
        let pods = operator::pods(system).await?;
        Ok((pods.len() == 2 && pods.iter().all(runs)).then_some(pods))
    };
    system.until("two operators run", Duration::from_mins(1), look).await
}

async fn replicas(system: &Space, count: u32) -> Result<()> {
    let deployments = system.api::<Deployment>();
    let patch = Patch::Merge(json!({ "spec": { "replicas": count } }));
    deployments.patch("scrapefleet", &PatchParams::default(), &patch).await?;
    let there = |deployment: &Deployment| {
        let status = deployment.status.as_ref();
        let ready = status.and_then(|status| status.ready_replicas).unwrap_or_default();
        let all = status.and_then(|status| status.replicas).unwrap_or_default();
        u32::try_from(ready) == Ok(count) && u32::try_from(all) == Ok(count)
    };
    let look = async || Ok(there(&deployments.get("scrapefleet").await?).then_some(()));
    system.until(&format!("{count} operators are ready"), Duration::from_mins(2), look).await
}

/// Where the API server of this project's cluster writes what service accounts change.
fn audit_log() -> Result<PathBuf> {
    let kubeconfig =
        std::env::var_os("SCRAPEFLEET_E2E_KUBECONFIG").context("SCRAPEFLEET_E2E_KUBECONFIG is not set")?;
    let log = PathBuf::from(kubeconfig).with_file_name("logs").join("audit.log");
    ensure!(log.exists(), "{} is not there: is this a cluster of `cargo xtask cluster up`?", log.display());
    Ok(log)
}

/// What the operator has written in a namespace: when, how and to what.
async fn writes(log: &PathBuf, namespace: &str) -> Result<Vec<String>> {
    let text = tokio::fs::read_to_string(log).await.with_context(|| format!("read {}", log.display()))?;
    let written = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        let (user, object) = (event["user"]["username"].as_str().unwrap_or_default(), &event["objectRef"]);
        let ours =
            user.starts_with("system:serviceaccount:scrapefleet-system:") && object["namespace"] == namespace;
        ours.then(|| format!("{} {} {object}", event["requestReceivedTimestamp"], event["verb"]))
    };
    Ok(text.lines().filter_map(written).collect())
}
