//! The task: all that a bot needs to do its work, as self-contained JSON.

use jiff::Timestamp;
use scrapefleet_api::{FleetName, ItemId, LaneName};
use serde::{Deserialize, Serialize};

/// The version of the task format that this program writes.
pub const SCHEMA_VERSION: u32 = 1;

/// The message for one item. Fields this version does not know survive in `extra`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Version of this format.
    pub schema_version: u32,
    /// The fleet it belongs to.
    pub fleet: FleetName,
    /// The item's id, unique within the fleet.
    pub id: ItemId,
    /// Where the item is.
    pub url: String,
    /// The lane it waits in.
    pub lane: LaneName,
    /// When the watcher first saw it.
    pub discovered_at: Timestamp,
    /// Which attempt the next one is, from 1.
    pub attempt: u32,
    /// After this the item is not worth opening; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// How the attempt before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Failure>,
    /// Fields of other versions.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The class of failure.
    pub reason: Reason,
    /// What was said, for people; bounded.
    pub message: String,
    /// When.
    pub at: Timestamp,
    /// Keys in the store of what was seen at the failure (screenshot, page).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
}

/// The class of a failure; a fixed set, so that it can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// The message is not a task of a version that this program reads.
    Unreadable,
    /// The item could not be opened.
    OpenFailed,
    /// The item's page crashed, or stopped answering, while this item was in it alone or first.
    PageCrashed,
    /// Held longer than the policy allows.
    HoldExpired,
    /// The artifact could not be taken.
    TakeFailed,
    /// The artifact can never be right as it was taken.
    Incomplete,
    /// The artifact could not be stored.
    StoreFailed,
    /// Its holder died too often.
    HolderDied,
    /// Its deadline passed before it was opened.
    TooLate,
    /// robots.txt forbids opening it.
    Forbidden,
}

impl Reason {
    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::Unreadable,
        Self::OpenFailed,
        Self::PageCrashed,
        Self::HoldExpired,
        Self::TakeFailed,
        Self::Incomplete,
        Self::StoreFailed,
        Self::HolderDied,
        Self::TooLate,
        Self::Forbidden,
    ];
}

/// A task that was given up, with why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The item, where it could be read.
    pub item: Option<ItemId>,
    /// The task, where it could be read.
    pub task: Option<Task>,
    /// The raw message, where it could not; bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Why, and what was seen.
    pub failure: Failure,
}

/// One line of the fleet's journal: an item was discovered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalEntry {
    /// The item.
    pub id: ItemId,
    /// The lane it was put in.
    pub lane: LaneName,
    /// Where it is.
    pub url: String,
    /// When it was first seen.
    pub discovered_at: Timestamp,
}

impl JournalEntry {
    /// The entry that the discovery of `task` makes.
    #[must_use]
    pub fn of(task: &Task) -> Self {
        let Task { id, lane, url, discovered_at, .. } = task;
        Self { id: id.clone(), lane: lane.clone(), url: url.clone(), discovered_at: *discovered_at }
    }
}
