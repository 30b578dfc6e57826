//! Where tasks wait.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::rule;

/// Where tasks wait. Exactly one field is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule("[has(self.embedded)].filter(set, set).size() == 1", "exactly one place, such as `embedded: {}`"),
]))]
pub struct QueueSpec {
    /// One file on this machine; for `scrapefleet run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedQueue>,
}

/// A queue in one file on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EmbeddedQueue {
    /// The file; a relative path starts at the data folder of the run.
    #[schemars(length(min = 1, max = 255), regex(pattern = PATH))]
    pub path: String,
}

/// The pattern of a path: no control characters.
pub(crate) const PATH: &str = "^[^\\x00-\\x1f\\x7f]+$";

impl Default for EmbeddedQueue {
    fn default() -> Self {
        Self { path: "queue.redb".to_owned() }
    }
}
