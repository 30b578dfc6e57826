//! What a run is doing, at one moment.

use scrapefleet_queue::Depth;
use scrapefleet_watcher::WatcherStatus;
use scrapefleet_worker::{BotStatus, Totals};
use serde::Serialize;

/// What a run is doing, at one moment; the body of `/status`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Snapshot {
    /// How many tasks are where.
    pub(super) depth: Depth,
    /// What this run has done.
    pub(super) totals: Totals,
    /// Its bots.
    pub(super) bots: Vec<BotStatus>,
    /// Its watcher.
    pub(super) watcher: WatcherStatus,
    /// How many artifacts it is to store, when it is to stop by itself.
    pub(super) goal: Option<u64>,
}

impl Snapshot {
    /// Items that bots hold.
    pub(super) fn held(&self) -> usize {
        self.bots.iter().map(|bot| bot.holds.len()).sum()
    }
}
