//! How pods are exchanged for others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::rule;

/// How bots are exchanged for others when the image or the manifest changes. Each drains as `drain` says; while it
/// drains it counts. Watchers are exchanged one at a time, the new one first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "self.maxSurge + self.maxUnavailable > 0",
        "at least 1 where `maxUnavailable` is 0, else no bot can be exchanged: raise one of them",
    ).field_path(".maxSurge"),
]))]
pub struct RolloutSpec {
    /// How many bots more than needed there may be meanwhile.
    #[schemars(range(min = 0, max = 1000))]
    pub max_surge: i32,
    /// How many bots fewer than needed may be ready meanwhile.
    #[schemars(range(min = 0, max = 1000))]
    pub max_unavailable: i32,
}

impl Default for RolloutSpec {
    fn default() -> Self {
        Self { max_surge: 1, max_unavailable: 0 }
    }
}
