//! What a watcher shows of itself.

use jiff::Timestamp;
use serde::Serialize;

/// What a watcher is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WatcherState {
    /// Opening the list for the first time, or asking the queue whether another watcher is the active one.
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
    /// Whether it is the one that queues what is new.
    pub active: bool,
    /// Items it queued that were not known to the queue.
    pub discovered: u64,
    /// Items it queued that the queue knew.
    pub known: u64,
    /// Items it has seen and could not queue yet.
    pub unpublished: usize,
    /// Times the list was full and showed nothing known: items may have been missed.
    pub gaps: u64,
    /// Times the list was repaired.
    pub repairs: u64,
    /// Items in the last window.
    pub window: usize,
    /// Looks at the list that were answered.
    pub refreshes: u64,
    /// When the list last answered a look.
    pub refreshed_at: Option<Timestamp>,
    /// The pause before the next look, in milliseconds.
    pub pause_ms: u64,
    /// Process id of its browser's root process, when it was started from here.
    pub process_id: Option<u32>,
    /// The last thing that went wrong.
    pub last_reason: Option<String>,
}

/// How a watcher stands with the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListSide {
    NotOpened,
    Answers,
    Broken,
}

/// Who is the active watcher, as far as this one knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Active {
    NotKnown,
    Ours,
    Another,
}

/// What a watcher that stands so is doing. A list that is broken comes first: without it there is nothing to queue.
pub(crate) fn state_of(list: ListSide, active: Active, queue_answers: bool) -> WatcherState {
    match (list, active) {
        (ListSide::Broken, _) => WatcherState::Repairing,
        _ if !queue_answers => WatcherState::QueueUnreachable,
        (ListSide::NotOpened, _) | (_, Active::NotKnown) => WatcherState::Starting,
        (ListSide::Answers, Active::Ours) => WatcherState::Watching,
        (ListSide::Answers, Active::Another) => WatcherState::Standby,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_thing_is_shown() {
        use {Active as A, ListSide as L, WatcherState as S};
        for (list, active, queue_answers, state) in [
            (L::NotOpened, A::NotKnown, true, S::Starting),
            (L::NotOpened, A::Ours, true, S::Starting),
            (L::NotOpened, A::NotKnown, false, S::QueueUnreachable),
            (L::Answers, A::NotKnown, true, S::Starting),
            (L::Answers, A::Ours, true, S::Watching),
            (L::Answers, A::Another, true, S::Standby),
            (L::Answers, A::Ours, false, S::QueueUnreachable),
            (L::Answers, A::Another, false, S::QueueUnreachable),
            (L::Broken, A::Ours, true, S::Repairing),
            (L::Broken, A::Another, false, S::Repairing),
        ] {
            assert_eq!(state_of(list, active, queue_answers), state, "{list:?} {active:?} {queue_answers}");
        }
    }
}
