//! Lanes of the queue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LaneName;

/// One lane: items of a kind that must not wait behind those of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LaneSpec {
    /// The lane's name.
    pub name: LaneName,
    /// Its share of a bot's holds, relative to the other lanes. Every lane keeps at least one hold free of the others.
    #[serde(default = "one")]
    pub weight: i32,
    /// Regular expression on the item's id; without it the lane takes every item.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
}

fn one() -> i32 {
    1
}
