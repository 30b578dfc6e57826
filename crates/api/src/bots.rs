//! The bots' part of the manifest.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Period;

/// The bots, which hold items until they end and store what they leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BotsSpec {
    /// The fewest bots.
    pub min: i32,
    /// The most bots.
    pub max: i32,
    /// How many items a bot holds at once in its Chrome.
    pub holds_per_bot: i32,
    /// Pause between two probes of all held items.
    pub probe: Period,
    /// Requests and limits of the two containers of a bot; sized after `holdsPerBot` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<BotResources>,
}

/// Requests and limits of the two containers of a bot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BotResources {
    /// The bot itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot: Option<Resources>,
    /// Its Chrome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chrome: Option<Resources>,
}

/// Requests and limits of one container, as Kubernetes quantities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Resources {
    /// What is set aside, by resource name (`cpu`, `memory`).
    pub requests: BTreeMap<String, String>,
    /// What is never exceeded, by resource name.
    pub limits: BTreeMap<String, String>,
}

impl Default for BotsSpec {
    fn default() -> Self {
        Self { min: 1, max: 1, holds_per_bot: 20, probe: Period::secs(3), resources: None }
    }
}
