//! The ScrapeFleet resource itself.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    FleetName, Period,
    bots::BotsSpec,
    id::InvalidId,
    lane::LaneSpec,
    pods::PodsSpec,
    policies::PoliciesSpec,
    politeness::PolitenessSpec,
    queue::QueueSpec,
    rollout::RolloutSpec,
    schema::{between, rule},
    site::SiteSpec,
    store::StoreSpec,
    watcher::WatcherSpec,
};

pub use crate::status::ScrapeFleetStatus;

/// What to scrape, with how many browsers, under which policies, and where the results go.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "scrapefleet.io",
    version = "v1alpha1",
    kind = "ScrapeFleet",
    plural = "scrapefleets",
    shortname = "sf",
    category = "scrape",
    namespaced,
    doc = "A fleet of browsers that scrapes one site.",
    derive = "PartialEq",
    status = "ScrapeFleetStatus",
    scale(
        spec_replicas_path = ".spec.bots.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Bots",
        type_ = "string",
        json_path = ".status.size",
        description = "Bots that are ready, of those that there should be."
    ),
    printcolumn(
        name = "Held",
        type_ = "integer",
        json_path = ".status.items.held",
        description = "Items that bots hold."
    ),
    printcolumn(
        name = "Ready",
        type_ = "integer",
        json_path = ".status.items.ready",
        description = "Items that wait for a bot."
    ),
    printcolumn(
        name = "Stored",
        type_ = "integer",
        json_path = ".status.items.stored",
        description = "Items that bots have stored."
    ),
    printcolumn(
        name = "Rate",
        type_ = "string",
        json_path = ".status.rate",
        description = "Items stored a minute."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Dead", type_ = "integer", json_path = ".status.items.dead", priority = 1),
    printcolumn(name = "Gaps", type_ = "integer", json_path = ".status.items.gaps", priority = 1),
    printcolumn(
        name = "Site",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"SiteAvailable\")].status",
        priority = 1
    ),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    validation = rule(
        "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
        "a name of 1 to 63 lower-case letters, digits and dashes, starting and ending with a letter or digit",
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(
    transform = crate::schema::structural,
    extend("x-kubernetes-validations" = [
        rule(
            "self.bots.max <= self.politeness.held",
            "at least `bots.max`, so that every bot may hold an item: raise `politeness.held` or lower `bots.max`",
        ).field_path(".politeness.held"),
    ])
)]
pub struct ScrapeFleetSpec {
    /// The site and how to read it.
    pub site: SiteSpec,
    /// The watcher, which keeps the site's list open and queues every new item.
    #[serde(default)]
    pub watcher: WatcherSpec,
    /// The bots, which hold items until they end and store what they leave.
    #[serde(default)]
    pub bots: BotsSpec,
    /// Lanes of the queue. An item goes to the first lane whose `match` fits its id; without lanes there is one, `default`.
    #[serde(default)]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-validations" = [
            rule(
                "self.all(lane, self.exists_one(other, other.name == lane.name))",
                "each name once: rename the lanes that share one",
            ),
            rule(
                "self.filter(lane, !has(lane.match)).size() <= 1",
                "one lane without `match` at most: a lane after it would never get an item",
            ),
            rule(
                "self.size() == 0 || !has(self[self.size() - 1].match)",
                "a last lane without `match`, so that every item finds a lane: add one, or move it to the end",
            ),
        ])
    )]
    pub lanes: Vec<LaneSpec>,
    /// Deadlines, retries, fallbacks and when to abandon.
    #[serde(default)]
    pub policies: PoliciesSpec,
    /// What the whole fleet may ask of the site, however many bots it has.
    #[serde(default)]
    pub politeness: PolitenessSpec,
    /// Where tasks wait.
    pub queue: QueueSpec,
    /// Where artifacts go.
    pub store: StoreSpec,
    /// How a bot that must go gives up its held items.
    #[serde(default)]
    pub drain: DrainSpec,
    /// How bots and watchers are exchanged for others when the image or the manifest changes.
    #[serde(default)]
    pub rollout: RolloutSpec,
    /// What the pods on Kubernetes are made of and where they run; a run on one machine has none.
    #[serde(default)]
    pub pods: PodsSpec,
    /// True stops discovery and opening; held items end as `drain` says. Nothing is lost.
    #[serde(default)]
    pub suspend: bool,
}

/// How a bot that must go gives up its held items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainSpec {
    /// `Release` gives held items back at once, `Finish` waits for them to end.
    #[serde(default)]
    pub mode: DrainMode,
    /// How long `Finish` waits before it releases what is still held.
    #[serde(default = "default_deadline")]
    #[schemars(extend("x-kubernetes-validations" = [between("0s", "24h")]))]
    pub deadline: Period,
}

/// What a draining bot does with the items it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DrainMode {
    /// Held items go back to the queue at once, their attempt count unchanged.
    #[default]
    Release,
    /// Held items are waited for, up to the deadline; then they are released.
    Finish,
}

fn default_deadline() -> Period {
    Period::minutes(10)
}

impl Default for DrainSpec {
    fn default() -> Self {
        Self { mode: DrainMode::default(), deadline: default_deadline() }
    }
}

impl ScrapeFleet {
    /// The fleet's name. A resource that the rules accepted always has one.
    pub fn fleet_name(&self) -> Result<FleetName, InvalidId> {
        FleetName::new(self.metadata.name.clone().unwrap_or_default())
    }
}
