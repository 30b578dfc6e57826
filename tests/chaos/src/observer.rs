//! Writes down what every pod of a fleet says of itself, a few times a second.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use scrapefleet_e2e::{Fleet, Forward};
use scrapefleet_policy::{Clock as _, SystemClock, within};
use tokio::task::JoinSet;

use crate::history::{History, Look, PodRecord, Said};

/// How often pods are asked and listed: the times of a report are right to within this.
const PACE: Duration = Duration::from_millis(200);
/// How long an answer may take; a stopped process gives none.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// How long listing pods may take.
const LISTED_WITHIN: Duration = Duration::from_secs(5);
/// The most that is kept of one pod, in looks: an hour and a half.
const MOST_LOOKS: usize = 27_000;

/// Watches a fleet's pods until it is dropped.
#[derive(Debug)]
pub struct Observer {
    record: Record,
    _task: JoinSet<()>,
}

/// What was seen. Who reads it has it as it was at that moment, and who writes waits for nobody: no reader holds a lock.
#[derive(Debug, Clone, Default)]
struct Record(Arc<Mutex<Arc<History>>>);

impl Record {
    fn read(&self) -> Arc<History> {
        Arc::clone(&self.lock())
    }

    fn write<T>(&self, change: impl FnOnce(&mut History) -> T) -> T {
        change(Arc::make_mut(&mut self.lock()))
    }

    fn lock(&self) -> MutexGuard<'_, Arc<History>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer {
    /// Begins.
    #[must_use]
    pub fn start(fleet: &Fleet) -> Self {
        let record = Record::default();
        let mut task = JoinSet::new();
        task.spawn(observe(fleet.clone(), record.clone()));
        Self { record, _task: task }
    }

    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> Arc<History> {
        self.record.read()
    }
}

/// The present time, as all times of a record are taken.
#[must_use]
pub fn now() -> Timestamp {
    SystemClock.now()
}

async fn observe(fleet: Fleet, record: Record) {
    // Dropped with this task, and so all that ask with it.
    let mut asking = JoinSet::new();
    let pods = fleet.space.api::<Pod>();
    loop {
        // An API server that is away is one of the faults: what is not seen now is seen later.
        if let Ok(Ok(list)) = within(LISTED_WITHIN, "list pods", list(&fleet, &pods)).await {
            for (uid, name) in record.write(|history| take(history, &list)) {
                asking.spawn(ask(pods.clone(), uid, name, record.clone()));
            }
        }
        while asking.try_join_next().is_some() {}
        tokio::time::sleep(PACE).await;
    }
}

async fn list(fleet: &Fleet, pods: &Api<Pod>) -> Result<Vec<Pod>> {
    let labels = format!("scrapefleet.io/fleet={}", fleet.name);
    Ok(pods.list(&ListParams::default().labels(&labels)).await?.items)
}

/// Writes down which pods there are; answers those that are new.
fn take(history: &mut History, list: &[Pod]) -> Vec<(String, String)> {
    let at = now();
    let listed: BTreeMap<_, _> =
        list.iter().filter_map(|pod| Some((pod.metadata.uid.clone()?, pod))).collect();
    let mut new = Vec::new();
    for (uid, pod) in &listed {
        let record = history.pods.entry(uid.clone()).or_insert_with(|| {
            let record = record(pod, at);
            new.push((uid.clone(), record.name.clone()));
            record
        });
        record.node = node(pod).or(record.node.take());
        if has_ended(pod) {
            record.ended.get_or_insert(at);
        }
    }
    let there: BTreeSet<_> = listed.into_keys().collect();
    for (_, gone) in history.pods.iter_mut().filter(|(uid, _)| !there.contains(*uid)) {
        gone.ended.get_or_insert(at);
    }
    new
}

fn record(pod: &Pod, from: Timestamp) -> PodRecord {
    let role = pod.metadata.labels.as_ref().and_then(|labels| labels.get("scrapefleet.io/role"));
    PodRecord {
        name: pod.metadata.name.clone().unwrap_or_default(),
        role: role.cloned().unwrap_or_default(),
        node: None,
        from,
        ended: None,
        looks: Vec::new(),
    }
}

fn node(pod: &Pod) -> Option<String> {
    pod.spec.as_ref().and_then(|spec| spec.node_name.clone())
}

/// Whether its program has ended, or it is on its way out.
fn has_ended(pod: &Pod) -> bool {
    let program = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let ended = program
        .into_iter()
        .any(|container| container.state.as_ref().is_some_and(|state| state.terminated.is_some()));
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_some() || ended || matches!(phase, Some("Failed" | "Succeeded"))
}

/// Asks a pod for its status as long as it is there. One that was cut off may answer again.
async fn ask(pods: Api<Pod>, uid: String, name: String, record: Record) {
    let mut way = None;
    while is_asked(&record.read(), &uid) {
        let said = answer(&pods, &name, &mut way).await;
        if said.is_none() {
            // A way through a connection that is dead leads nowhere any more.
            way = None;
        }
        record.write(|history| look(history, &uid, said));
        tokio::time::sleep(PACE).await;
    }
}

/// Writes down what a pod said.
fn look(history: &mut History, uid: &str, said: Option<Said>) {
    if let Some(pod) = history.pods.get_mut(uid)
        && pod.looks.len() < MOST_LOOKS
    {
        pod.looks.push(Look { at: now(), said: said.map(Arc::new) });
    }
}

fn is_asked(history: &History, uid: &str) -> bool {
    history.pods.get(uid).is_some_and(|pod| pod.ended.is_none())
}

struct Way {
    forward: Forward,
    client: reqwest::Client,
}

async fn answer(pods: &Api<Pod>, name: &str, way: &mut Option<Way>) -> Option<Said> {
    if way.is_none() {
        // The port of a pod's program is the same everywhere: it is part of what operators ask.
        let forward = Forward::open(pods.clone(), name, 8080).await.ok()?;
        let client = reqwest::Client::builder().timeout(ANSWERS_WITHIN).build().ok()?;
        *way = Some(Way { forward, client });
    }
    let way = way.as_ref()?;
    let url = format!("http://{}/status", way.forward.address());
    let asked = async { way.client.get(url).send().await.ok()?.json().await.ok() };
    within(ANSWERS_WITHIN, "a status", asked).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(uid: &str, more: &Value) -> Pod {
        let mut pod = json!({ "metadata": { "uid": uid, "name": uid,
            "labels": { "scrapefleet.io/role": "bot" } }, "spec": { "containers": [], "nodeName": "node1" } });
        if let (Some(pod), Some(more)) = (pod.as_object_mut(), more.as_object()) {
            pod.extend(more.clone());
        }
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn what_is_new_is_asked_and_what_is_gone_has_ended() {
        let mut history = History::default();
        let (a, b) = (pod("a", &json!({})), pod("b", &json!({})));
        assert_eq!(take(&mut history, &[a.clone(), b]).len(), 2);
        assert!(take(&mut history, &[a]).is_empty());
        assert!(is_asked(&history, "a") && !is_asked(&history, "b") && !is_asked(&history, "c"));
        assert_eq!(history.pods["a"].node.as_deref(), Some("node1"));
    }

    #[test]
    fn who_reads_keeps_what_was_read_and_holds_nobody_up() {
        let record = Record::default();
        let none = record.read();
        record.write(|history| take(history, &[pod("a", &json!({}))]));
        let one = record.read();
        // A reader is here, twice in one expression, while another writes.
        record.write(|history| look(history, "a", Some(Said::default())));
        let counts = [&none, &one, &record.read(), &record.read()].map(|seen| {
            let looks: usize = seen.pods.values().map(|pod| pod.looks.len()).sum();
            (seen.pods.len(), looks)
        });
        assert_eq!(counts, [(0, 0), (1, 0), (1, 1), (1, 1)]);
    }

    #[test]
    fn a_program_that_ended_is_an_end_though_the_pod_is_there() {
        let status = json!({ "status": { "phase": "Running", "containerStatuses": [{ "name": "bot", "image": "",
            "imageID": "", "ready": false, "restartCount": 0, "state": { "terminated": { "exitCode": 137 } } }] } });
        let mut history = History::default();
        take(&mut history, &[pod("a", &status)]);
        assert!(history.pods["a"].ended.is_some());
    }
}
