//! Where artifacts go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{queue::PATH, schema::rule};

/// Where artifacts go, under which keys. Exactly one of the places is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule("[has(self.directory)].filter(set, set).size() == 1", "exactly one place, such as `directory: {}`"),
]))]
pub struct StoreSpec {
    /// A folder on this machine; for `scrapefleet run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectoryStore>,
    /// The key of an artifact: text with `{fleet}`, `{id}`, `{shard}` (two hex digits of the id's hash) and the named groups of the recipe's `idPattern`.
    /// It is made of the item's id alone, so that a repeat lands on the same key.
    #[schemars(
        length(min = 4, max = 512),
        regex(pattern = KEY),
        extend("x-kubernetes-validations" = [
            rule("self.contains('{id}')", "a key with `{id}`, so that no two items share one"),
            rule(
                "!self.startsWith('_') && !self.startsWith('/')",
                "a key that starts with neither `_`, kept for the product's own records, nor `/`",
            ),
        ])
    )]
    pub key: String,
    /// How artifacts are compressed.
    pub compression: Compression,
}

/// The pattern of a key template.
pub(crate) const KEY: &str = "^[A-Za-z0-9._%={}/-]+$";

/// A folder on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DirectoryStore {
    /// The folder; a relative path starts at the data folder of the run.
    #[schemars(length(min = 1, max = 255), regex(pattern = PATH))]
    pub path: String,
}

/// How artifacts are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Stored as taken.
    #[default]
    None,
    /// gzip.
    Gzip,
}

impl Default for StoreSpec {
    fn default() -> Self {
        Self { directory: None, key: "{fleet}/{id}".to_owned(), compression: Compression::default() }
    }
}

impl Default for DirectoryStore {
    fn default() -> Self {
        Self { path: "artifacts".to_owned() }
    }
}
