//! What a run did, as JSON.

use std::{path::Path, time::Duration};

use scrapefleet_queue::TaskQueue;
use serde::Serialize;

use super::{memory::Memory, snapshot::Snapshot};
use crate::CliError;

/// What a run did.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Items this run discovered.
    pub discovered: u64,
    /// Artifacts it stored.
    pub stored: u64,
    /// Of those, stored as partial.
    pub partial: u64,
    /// Items it gave up.
    pub dead: u64,
    /// Items it recorded as gone.
    pub gone: u64,
    /// Tasks that wait now.
    pub ready: u64,
    /// Tasks that are held now; none after an orderly end.
    pub held: u64,
    /// Tasks that wait for their delay.
    pub delayed: u64,
    /// Browsers it threw away.
    pub browsers_abandoned: u64,
    /// Windows of the list that did not overlap.
    pub gaps: u64,
    /// The most items held at once.
    pub held_peak: usize,
    /// Median time from claim to stored, in seconds.
    pub hold_seconds_median: Option<f64>,
    /// Bytes of stored artifacts, as stored.
    pub bytes: u64,
    /// The most memory the whole process tree used (PSS), in MiB.
    pub pss_mib_peak: f64,
    /// That memory divided by the items held, when the most were held.
    pub pss_mib_per_held: Option<f64>,
    /// How long it ran.
    pub seconds: f64,
}

impl Report {
    pub(super) async fn of(
        snapshot: &Snapshot,
        queue: &dyn TaskQueue,
        memory: &Memory,
        took: Duration,
    ) -> Result<Self, CliError> {
        let depth = queue.depth().await?;
        let totals = &snapshot.totals;
        Ok(Self {
            discovered: snapshot.watcher.discovered,
            stored: totals.stored,
            partial: totals.partial,
            dead: totals.dead,
            gone: totals.gone,
            ready: depth.ready,
            held: depth.held,
            delayed: depth.delayed,
            browsers_abandoned: totals.browsers_abandoned,
            gaps: snapshot.watcher.gaps,
            held_peak: memory.held_peak(),
            hold_seconds_median: totals.hold_seconds_median,
            bytes: totals.bytes,
            pss_mib_peak: memory.mib_peak(),
            pss_mib_per_held: memory.mib_per_held(),
            seconds: took.as_secs_f64(),
        })
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), CliError> {
        let unwritable = |why| CliError::Unwritable { path: path.to_owned(), why };
        let text = serde_json::to_string_pretty(self).map_err(|error| unwritable(error.into()))?;
        std::fs::write(path, text + "\n").map_err(unwritable)
    }
}
