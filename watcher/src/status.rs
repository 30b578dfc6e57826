//! What a watcher shows of itself.

use std::fmt;

use jiff::Timestamp;
use scrapefleet_browser::Waiting;
use scrapefleet_policy::Instant;
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
    /// What the list does not show although it should; see [`crate::notice`]. Withdrawn as soon as it does.
    pub waiting: Option<Awaited>,
}

impl WatcherStatus {
    /// Why it cannot work, in words. None: it can; standing by is work.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        if matches!(self.state, WatcherState::Watching | WatcherState::Standby) {
            return None;
        }
        let waiting = || self.waiting.as_ref().map(ToString::to_string);
        let why = self.last_reason.clone().or_else(waiting);
        Some(why.unwrap_or_else(|| format!("{:?}", self.state)))
    }
}

/// What the list has been waited for, for longer than a list in health lets itself be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Awaited {
    /// The step that waits.
    pub step: String,
    /// The field of the recipe that says what it waits for: `list.item`.
    pub field: String,
    /// What it looks for.
    pub selector: String,
    /// The page it looks for it in.
    pub url: String,
    /// Since when.
    pub since: Timestamp,
}

impl Awaited {
    /// What is waited for, at `now` by both clocks.
    pub(crate) fn new(waiting: &Waiting, now: (Instant, Timestamp)) -> Self {
        let waited = now.0.saturating_duration_since(waiting.since);
        Self {
            step: format!("{:?}", waiting.step),
            field: waiting.field.to_owned(),
            selector: waiting.selector.clone(),
            url: waiting.url.clone(),
            since: now.1.checked_sub(waited).unwrap_or(now.1),
        }
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, field, selector, url, since } = self;
        write!(f, "{step} waits for `{selector}` ({field}) at {url} since {since:.0}")
    }
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
    fn trouble_says_what_is_known_of_it() {
        let mut status = WatcherStatus { state: WatcherState::Standby, ..WatcherStatus::default() };
        assert_eq!(status.trouble(), None, "standing by is well");
        status.state = WatcherState::Starting;
        assert_eq!(status.trouble().as_deref(), Some("Starting"));
        status.waiting = Some(Awaited {
            step: "Refresh".to_owned(),
            field: "list.item".to_owned(),
            selector: "a.none".to_owned(),
            url: "http://site.test/".to_owned(),
            since: Timestamp::UNIX_EPOCH,
        });
        let waits = "Refresh waits for `a.none` (list.item) at http://site.test/ since 1970-01-01T00:00:00Z";
        assert_eq!(status.trouble().as_deref(), Some(waits));
        status.last_reason = Some("the list did not answer".to_owned());
        assert_eq!(status.trouble().as_deref(), Some("the list did not answer"));
        status.state = WatcherState::Watching;
        assert_eq!(status.trouble(), None, "a notice is no failure");
    }

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
