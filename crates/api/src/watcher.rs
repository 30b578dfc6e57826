//! The watcher's part of the manifest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Period;

/// The watcher, which keeps the site's list open and queues every new item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WatcherSpec {
    /// Pause between two refreshes of the list when new items come at an ordinary rate.
    pub refresh: Period,
    /// The shortest pause, used when windows barely overlap.
    pub refresh_min: Period,
    /// The longest pause, approached while nothing changes.
    pub refresh_max: Period,
    /// How many ids the watcher remembers as already queued.
    pub recent: i32,
    /// Whether a second watcher stands by with the list already open.
    pub standby: bool,
}

impl Default for WatcherSpec {
    fn default() -> Self {
        Self {
            refresh: Period::millis(300),
            refresh_min: Period::millis(100),
            refresh_max: Period::secs(2),
            recent: 20_000,
            standby: true,
        }
    }
}
