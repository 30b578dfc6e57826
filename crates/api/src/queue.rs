//! Where tasks wait.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where tasks wait. Exactly one field is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueSpec {
    /// One file on this machine; for `scrapefleet run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedQueue>,
}

/// A queue in one file on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EmbeddedQueue {
    /// The file, relative to the data folder of the run.
    pub path: String,
}

impl Default for EmbeddedQueue {
    fn default() -> Self {
        Self { path: "queue.redb".to_owned() }
    }
}
