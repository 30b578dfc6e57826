//! What every object carries.

use std::collections::BTreeMap;

use jiff::Timestamp;
use scrapefleet_api::{FleetName, ItemId};
use serde::{Deserialize, Serialize};

/// What every object carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The fleet that stored it.
    pub fleet: FleetName,
    /// The item it was taken from.
    pub item: ItemId,
    /// SHA-256 of the bytes as stored, in hex.
    pub sha256: String,
    /// Content type of the bytes once decoded.
    pub content_type: String,
    /// `gzip` when the bytes are compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// When the watcher first saw the item.
    pub discovered_at: Timestamp,
    /// When the artifact was taken.
    pub scraped_at: Timestamp,
    /// Which attempt took it, from 1.
    pub attempt: u32,
    /// Why it is only a part of what was hoped for; none: it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// Facts that the site's inspection found (`winner`, `turns`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}
