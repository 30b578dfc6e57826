//! A fleet under test on the cluster: its object, its pods, and what became of its items.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use scrapefleet_api::{ScrapeFleet, ScrapeFleetStatus, lane::Lanes};
use scrapefleet_cli::{
    ledger::{Findings, Ledger},
    verify,
};
use scrapefleet_policy::within;
use scrapefleet_queue::{DeadLetter, TaskQueue as _, rabbitmq::RabbitMq};
use serde_json::{Value, json};

use crate::{backing::Backing, space::Space};

/// How long a fleet may take to hold, from its application on a node that has the images, while another starts as well: on two
/// cores, two sites and six browsers at once.
pub const HOLDS_WITHIN: Duration = Duration::from_mins(3);

/// How long one call of the API server may take.
const CALL_WITHIN: Duration = Duration::from_secs(30);
/// How long the ledger of a few hundred items may take to compute.
const VERIFIED_WITHIN: Duration = Duration::from_mins(2);

/// A fleet under test.
#[derive(Clone)]
pub struct Fleet {
    /// Its namespace.
    pub space: Space,
    /// Its name.
    pub name: String,
}

impl Fleet {
    /// Applies a fleet that scrapes battles from the Showdown site at `url`; `more` is merged into its spec.
    pub async fn showdown(
        space: &Space,
        name: &str,
        url: &str,
        backing: &Backing,
        more: &Value,
    ) -> Result<Self> {
        let (queue, store) = backing.places();
        let mut spec = json!({
            "site": { "preset": "showdown", "url": url },
            "bots": { "min": 1, "max": 1, "holdsPerBot": 20, "probe": "1s" },
            "politeness": { "connectionsPerMinute": 600, "actionsPerSecond": 20, "held": 200 },
            "queue": queue,
            "store": store,
        });
        merge(&mut spec, more);
        Self::apply(space, name, &spec).await
    }

    /// Applies a fleet with this spec.
    pub async fn apply(space: &Space, name: &str, spec: &Value) -> Result<Self> {
        let fleet = Self { space: space.clone(), name: name.to_owned() };
        fleet.space.create::<ScrapeFleet>(json!({ "metadata": { "name": name }, "spec": spec })).await?;
        Ok(fleet)
    }

    /// Merges this into its object, as `kubectl patch --type=merge` does.
    pub async fn patch(&self, change: &Value) -> Result<()> {
        let fleets = self.space.api::<ScrapeFleet>();
        let patch = Patch::Merge(change);
        within(CALL_WITHIN, "patch a fleet", fleets.patch(&self.name, &PatchParams::default(), &patch))
            .await??;
        Ok(())
    }

    /// Deletes it; its finalizer keeps it until its bots have drained.
    pub async fn delete(&self) -> Result<()> {
        let fleets = self.space.api::<ScrapeFleet>();
        within(CALL_WITHIN, "delete a fleet", fleets.delete(&self.name, &DeleteParams::default())).await??;
        Ok(())
    }

    /// Waits until it is gone.
    pub async fn gone(&self, limit: Duration) -> Result<()> {
        let fleets = self.space.api::<ScrapeFleet>();
        self.space
            .until(&format!("fleet {} is gone", self.name), limit, async || {
                Ok(fleets.get_opt(&self.name).await?.is_none().then_some(()))
            })
            .await
    }

    /// Its object.
    pub async fn get(&self) -> Result<ScrapeFleet> {
        let fleets = self.space.api::<ScrapeFleet>();
        within(CALL_WITHIN, "read a fleet", fleets.get(&self.name)).await?.context("read the fleet")
    }

    /// Waits until its status is as wanted.
    pub async fn status_when(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&ScrapeFleetStatus) -> bool,
    ) -> Result<ScrapeFleetStatus> {
        self.space
            .until(&format!("fleet {} {what}", self.name), limit, async || {
                Ok(self.get().await?.status.filter(|status| wanted(status)))
            })
            .await
    }

    /// Waits until a condition of its status has this reason; answers its message.
    pub async fn condition(&self, type_: &str, reason: &str, limit: Duration) -> Result<String> {
        let is = |status: &ScrapeFleetStatus| {
            status.condition(type_).is_some_and(|condition| condition.reason == reason)
        };
        let status = self.status_when(&format!("says {type_}: {reason}"), limit, is).await?;
        Ok(status.condition(type_).map(|condition| condition.message.clone()).unwrap_or_default())
    }

    /// Waits until it holds at least so many items.
    pub async fn holds(&self, items: i64, limit: Duration) -> Result<()> {
        let held = |status: &ScrapeFleetStatus| status.items.is_some_and(|counts| counts.held >= items);
        self.status_when(&format!("holds {items}"), limit, held).await.map(drop)
    }

    /// Waits until at least so many items are stored, as its status says.
    pub async fn stores(&self, items: i64, limit: Duration) -> Result<()> {
        let stored = |status: &ScrapeFleetStatus| status.items.is_some_and(|counts| counts.stored >= items);
        self.status_when(&format!("has stored {items}"), limit, stored).await.map(drop)
    }

    /// Waits until nothing waits and nothing is held.
    pub async fn idle(&self, limit: Duration) -> Result<()> {
        let idle = |status: &ScrapeFleetStatus| {
            status.items.is_some_and(|counts| counts.ready + counts.held + counts.delayed == 0)
        };
        self.status_when("is idle", limit, idle).await.map(drop)
    }

    /// All its pods, whatever has become of them.
    pub async fn all_pods(&self) -> Result<Vec<Pod>> {
        self.listed(&format!("scrapefleet.io/fleet={}", self.name)).await
    }

    async fn listed(&self, labels: &str) -> Result<Vec<Pod>> {
        let pods = self.space.api::<Pod>();
        let list = ListParams::default().labels(labels);
        Ok(within(CALL_WITHIN, "list pods", pods.list(&list)).await??.items)
    }

    /// Its pods in this role (`bot` or `watcher`) that have neither ended nor been told to.
    pub async fn pods(&self, role: &str) -> Result<Vec<Pod>> {
        let labels = format!("scrapefleet.io/fleet={},scrapefleet.io/role={role}", self.name);
        let mut found = self.listed(&labels).await?;
        let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
        found.retain(|pod| {
            let ended = matches!(phase(pod).as_deref(), Some("Failed" | "Succeeded"));
            !ended && pod.metadata.deletion_timestamp.is_none()
        });
        found.sort_by_key(|pod| pod.metadata.name.clone());
        Ok(found)
    }

    /// The names of those pods.
    pub async fn pod_names(&self, role: &str) -> Result<Vec<String>> {
        Ok(self.pods(role).await?.into_iter().filter_map(|pod| pod.metadata.name).collect())
    }

    /// The uids of all its pods that [`Fleet::pods`] finds, sorted: equal as long as no pod is touched.
    pub async fn pod_uids(&self) -> Result<Vec<String>> {
        let pods = [self.pods("bot").await?, self.pods("watcher").await?].concat();
        let mut uids: Vec<_> = pods.into_iter().filter_map(|pod| pod.metadata.uid).collect();
        uids.sort();
        Ok(uids)
    }

    /// What the ledger is made of, computed from outside; it must balance.
    pub async fn balanced(&self, backing: &Backing) -> Result<Findings> {
        let findings = self.findings_of(&self.get().await?, backing).await?;
        let ledger = Ledger::of(findings.clone());
        let shown = serde_json::to_string(&ledger)?;
        ensure!(ledger.balances(), "the ledger does not balance: {shown}");
        println!("{}: {shown}", self.name);
        Ok(findings)
    }

    /// The ledger of the fleet as it was applied, also when it is gone.
    pub async fn ledger_of(&self, applied: &ScrapeFleet, backing: &Backing) -> Result<Ledger> {
        Ok(Ledger::of(self.findings_of(applied, backing).await?))
    }

    async fn queue(&self, applied: &ScrapeFleet, backing: &Backing) -> Result<RabbitMq> {
        let lanes = Lanes::new(&applied.spec.lanes).context("the fleet's lanes")?;
        let lanes = lanes.all().iter().map(|lane| lane.name.clone()).collect();
        backing.queue(&self.name, lanes).await
    }

    /// Its dead letters.
    pub async fn dead_letters(&self, applied: &ScrapeFleet, backing: &Backing) -> Result<Vec<DeadLetter>> {
        let queue = self.queue(applied, backing).await?;
        let letters = within(CALL_WITHIN, "read dead letters", queue.dead_letters()).await??;
        queue.close().await?;
        Ok(letters)
    }

    /// What the ledger is made of.
    pub async fn findings_of(&self, applied: &ScrapeFleet, backing: &Backing) -> Result<Findings> {
        let name = applied.fleet_name().context("the fleet's name")?;
        let queue = self.queue(applied, backing).await?;
        let store = backing.store().await?;
        let find = Box::pin(verify::find(&name, &queue, &store));
        let findings = within(VERIFIED_WITHIN, "verify a fleet", find).await??;
        queue.close().await?;
        Ok(findings)
    }
}

/// Merges an object into another, as a merge patch does.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
