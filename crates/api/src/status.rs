//! What the operator has seen of a fleet.
//!
//! Nothing in it moves by itself: an idle fleet's status is the same at every look.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most bots that a status lists.
pub const MOST_BOTS: usize = 100;

/// The largest whole number that JSON carries exactly in every reader.
const EXACT: i64 = 9_007_199_254_740_991;

/// What the operator has seen of the fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = crate::schema::structural)]
pub struct ScrapeFleetStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = EXACT))]
    pub observed_generation: Option<i64>,
    /// Where the fleet stands, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// What to know of it, in a sentence: the message of the condition that matters most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub message: Option<String>,
    /// How many bots there are, those that drain left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = i32::MAX))]
    pub replicas: Option<i32>,
    /// How many bots there should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = i32::MAX))]
    pub desired: Option<i32>,
    /// How many bots are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = i32::MAX))]
    pub ready: Option<i32>,
    /// The same two for people: `3/5` are ready of those that there should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub size: Option<String>,
    /// The labels of the bots' pods, as the scale subresource wants them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,
    /// The fleet's items, counted; written every few seconds at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<ItemCounts>,
    /// Items stored a minute, over the last minutes, for people: `12/min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub rate: Option<String>,
    /// The bots, those that are not well first, 100 at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_BOTS))]
    pub bots: Vec<BotSummary>,
    /// Ready, Progressing, Degraded, `QueueReachable`, `StoreReachable`, `SiteAvailable` and `ScalingHeld`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// Where a fleet stands, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Its first pods are on their way.
    Pending,
    /// As many bots as there should be work.
    Running,
    /// Bots are on their way, or are being drained or exchanged.
    Scaling,
    /// Its bots give up what they hold, because the fleet is suspended or deleted.
    Draining,
    /// It is suspended and holds nothing.
    Suspended,
    /// The operator leaves it alone, as its annotation says.
    Paused,
    /// It works, but not as it should; the conditions say why.
    Degraded,
    /// It cannot work until its manifest changes.
    Failed,
}

/// The items of a fleet, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ItemCounts {
    /// Waiting for a bot.
    #[schemars(range(min = 0, max = EXACT))]
    pub ready: i64,
    /// Held by bots.
    #[schemars(range(min = 0, max = EXACT))]
    pub held: i64,
    /// Waiting for another attempt.
    #[schemars(range(min = 0, max = EXACT))]
    pub delayed: i64,
    /// Dead letters.
    #[schemars(range(min = 0, max = EXACT))]
    pub dead: i64,
    /// Stored, as far as the operator saw it; `scrapefleet verify` counts them in the store.
    #[schemars(range(min = 0, max = EXACT))]
    pub stored: i64,
    /// Times that items may have left the site's list unseen.
    #[schemars(range(min = 0, max = EXACT))]
    pub gaps: i64,
}

/// One bot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BotSummary {
    /// Its number.
    #[schemars(range(min = 0, max = i32::MAX))]
    pub slot: i32,
    /// Its pod.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// What it does.
    pub state: BotCondition,
    /// How many items it holds, where that is known; written every few seconds at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = i32::MAX))]
    pub held: Option<i32>,
    /// Since when it does that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub since: Option<Time>,
    /// The last thing that went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub last_reason: Option<String>,
}

/// What a bot does, as its pod and its own report say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum BotCondition {
    /// Its pod waits for a node, an image or a volume.
    Pending,
    /// Its browser starts.
    Starting,
    /// It takes and holds items.
    Working,
    /// It throws its browser away and starts another.
    Rebuilding,
    /// It opens nothing, because the site is at fault.
    SiteUnavailable,
    /// It takes no more items.
    Draining,
    /// It runs, and does not say what it does.
    Silent,
    /// It has ended; another comes in its place.
    Ended,
    /// It is left alone for a person to look at, as its annotation says.
    Fenced,
}

impl ScrapeFleetStatus {
    /// The condition of this type.
    #[must_use]
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }
}

fn date_time(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "format": "date-time", "maxLength": 64 })
}

fn conditions(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let text = |meaning: &str, most: u32| serde_json::json!({ "type": "string", "maxLength": most, "description": meaning });
    let status = serde_json::json!({
        "type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it is so.",
    });
    let changed = serde_json::json!({
        "type": "string", "format": "date-time", "maxLength": 64, "description": "Since when.",
    });
    let generation = serde_json::json!({
        "type": "integer", "minimum": 0, "maximum": EXACT,
        "description": "The generation of the spec that it speaks of.",
    });
    schemars::json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": {
            "type": "object",
            "description": "Something that is so or not.",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": text("What it speaks of.", 316),
                "status": status,
                "reason": text("Why, in a word.", 1024),
                "message": text("Why, and what to do, for people.", 32_768),
                "lastTransitionTime": changed,
                "observedGeneration": generation,
            },
        },
    })
}
