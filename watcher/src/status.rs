//! What a watcher shows of itself.

use serde::Serialize;

/// What a watcher is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WatcherState {
    /// Opening the list for the first time.
    #[default]
    Starting,
    /// The list is open; another watcher is the active one.
    Standby,
    /// Looking at the list and queueing what is new.
    Watching,
    /// The list does not answer and is being repaired.
    Repairing,
    /// What is new cannot be queued; it is kept until it can.
    QueueUnreachable,
    /// Ended.
    Ended,
}

/// One watcher.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WatcherStatus {
    /// What it is doing.
    pub state: WatcherState,
    /// Items it queued that were not known to the queue.
    pub discovered: u64,
    /// Items it queued that the queue knew.
    pub known: u64,
    /// Items it has seen and could not queue yet.
    pub unpublished: usize,
    /// Times the list was full and shared nothing with the window before: items may have been missed.
    pub gaps: u64,
    /// Times the list was repaired.
    pub repairs: u64,
    /// Items in the last window.
    pub window: usize,
    /// Looks at the list that were answered.
    pub refreshes: u64,
    /// The pause before the next look, in milliseconds.
    pub pause_ms: u64,
    /// Process id of its browser's root process, when it was started from here.
    pub process_id: Option<u32>,
    /// The last thing that went wrong.
    pub last_reason: Option<String>,
}
