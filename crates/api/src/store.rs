//! Where artifacts go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where artifacts go, under which keys. Exactly one of the places is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StoreSpec {
    /// A folder on this machine; for `scrapefleet run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectoryStore>,
    /// The key of an artifact: text with `{fleet}`, `{id}`, `{shard}` (two hex digits of the id's hash) and the named groups of the recipe's `idPattern`.
    /// It is made of the item's id alone, so that a repeat lands on the same key.
    pub key: String,
    /// How artifacts are compressed.
    pub compression: Compression,
}

/// A folder on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DirectoryStore {
    /// The folder, relative to the data folder of the run.
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
