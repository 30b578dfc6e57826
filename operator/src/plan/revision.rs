//! What pods are made of, in one word each: a pod with another word is exchanged.

use scrapefleet_api::ScrapeFleetSpec;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Role;

/// The images of a fleet's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Of bots and watchers.
    pub program: String,
    /// Of Chrome and its driver.
    pub chrome: String,
}

/// What the pods of a fleet are made of now, a word for each role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revisions {
    /// Of bots.
    pub bot: String,
    /// Of watchers.
    pub watcher: String,
}

impl Images {
    /// The fleet's own images, else `default`.
    #[must_use]
    pub fn of(spec: &ScrapeFleetSpec, default: &Self) -> Self {
        Self {
            program: spec.pods.image.clone().unwrap_or_else(|| default.program.clone()),
            chrome: spec.pods.chrome_image.clone().unwrap_or_else(|| default.chrome.clone()),
        }
    }
}

impl Revisions {
    /// Made of what a pod reads of the manifest and of what it runs. What only the operator reads (how many bots, how
    /// they are exchanged, whether the fleet is suspended) is left out, and so are the page loads a minute, of
    /// which pods are told while they run. They are told of actions a second too, but their watchdogs have reckoned from the
    /// manifest by then how long a step may take.
    #[must_use]
    pub fn of(spec: &ScrapeFleetSpec, images: &Images) -> Self {
        let common = json!({
            "images": [images.program, images.chrome],
            "site": spec.site,
            "lanes": spec.lanes,
            "policies": spec.policies,
            "robotsTxt": spec.politeness.robots_txt,
            "actionsPerSecond": spec.politeness.actions_per_second,
            "queue": queue(spec),
            "pods": {
                "serviceAccount": spec.pods.service_account_name,
                "nodeSelector": spec.pods.node_selector,
                "tolerations": spec.pods.tolerations,
                "priority": spec.pods.priority_class_name,
            },
        });
        let bot = json!({
            "common": common,
            "holds": holds(spec),
            "probe": spec.bots.probe,
            "resources": spec.bots.resources,
            "store": spec.store,
            "drain": spec.drain,
        });
        let mut watching = spec.watcher.clone();
        watching.standby = false;
        let watcher = json!({
            "common": common,
            "watcher": watching,
        });
        Self { bot: digest(&bot), watcher: digest(&watcher) }
    }

    /// That of one role.
    #[must_use]
    pub fn role(&self, role: Role) -> &str {
        match role {
            Role::Bot => &self.bot,
            Role::Watcher => &self.watcher,
        }
    }
}

/// How many items a bot holds: within its part of the fleet's, which a bot reckons from its manifest once.
fn holds(spec: &ScrapeFleetSpec) -> i32 {
    spec.bots.holds_per_bot.min(spec.politeness.held / spec.bots.max.max(1))
}

/// What pods read of the queue's section.
fn queue(spec: &ScrapeFleetSpec) -> Value {
    let mut queue = json!(spec.queue);
    if let Some(fields) = queue.get_mut("rabbitmq").and_then(Value::as_object_mut) {
        fields.retain(|name, _| !matches!(name.as_str(), "onDelete" | "managementUrl"));
    }
    queue
}

/// Ten hexadecimal digits: enough for the few revisions of one fleet.
pub(crate) fn digest(value: &Value) -> String {
    let digest = format!("{:x}", Sha256::digest(value.to_string()));
    digest[..10].to_owned()
}
