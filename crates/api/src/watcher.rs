//! The watcher's part of the manifest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Period,
    schema::{between, rule},
};

/// The watcher, which keeps the site's list open and queues every new item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    rule("self.refreshMin <= self.refresh", "no longer than `refresh`: lower `refreshMin` or raise `refresh`")
        .field_path(".refreshMin"),
    rule("self.refresh <= self.refreshMax", "at least `refresh`: raise `refreshMax` or lower `refresh`")
        .field_path(".refreshMax"),
]))]
pub struct WatcherSpec {
    /// Pause between two refreshes of the list when new items come at an ordinary rate.
    #[schemars(extend("x-kubernetes-validations" = [between("50ms", "1h")]))]
    pub refresh: Period,
    /// The shortest pause, used when windows barely overlap.
    #[schemars(extend("x-kubernetes-validations" = [between("50ms", "1h")]))]
    pub refresh_min: Period,
    /// The longest pause, approached while nothing changes.
    #[schemars(extend("x-kubernetes-validations" = [between("50ms", "24h")]))]
    pub refresh_max: Period,
    /// How many ids the watcher remembers as already queued.
    #[schemars(range(min = 100, max = 1_000_000))]
    pub recent: i32,
    /// Whether a second watcher stands by with the list already open.
    pub standby: bool,
}

impl Default for WatcherSpec {
    fn default() -> Self {
        Self {
            refresh: Period::millis(300),
            refresh_min: Period::millis(100),
            refresh_max: Period::secs(1),
            recent: 20_000,
            standby: true,
        }
    }
}
