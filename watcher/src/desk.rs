//! What the two halves of a watcher share: one looks at the list, the other talks to the queue, and neither waits for
//! the other.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use scrapefleet_api::ItemId;
use scrapefleet_browser::{Item, Waiting};
use scrapefleet_policy::Instant;
use scrapefleet_queue::{Published, Task, task::SCHEMA_VERSION};
use tokio::sync::Notify;

use crate::{
    outbox::{Offered, Outbox},
    sightings::Sightings,
    status::{Active, Awaited, ListSide, WatcherState, WatcherStatus, state_of},
    watcher::{Means, WatcherConfig},
};

/// What both halves share.
pub(crate) struct Desk {
    pub(crate) config: WatcherConfig,
    pub(crate) means: Means,
    state: Mutex<State>,
    /// Rung when something was put into the outbox.
    pub(crate) bell: Notify,
}

pub(crate) struct State {
    pub(crate) outbox: Outbox,
    pub(crate) sightings: Sightings,
    pub(crate) list: ListSide,
    pub(crate) active: Active,
    pub(crate) queue_answers: bool,
    /// Its browser hung or died, and the list has not answered since.
    pub(crate) is_blind: bool,
    pub(crate) status: WatcherStatus,
}

impl Desk {
    pub(crate) fn new(config: WatcherConfig, means: Means) -> Self {
        let bound = usize::try_from(config.spec.recent).unwrap_or(0);
        let state = State {
            outbox: Outbox::new(bound),
            sightings: Sightings::new(bound),
            list: ListSide::NotOpened,
            active: Active::NotKnown,
            queue_answers: true,
            is_blind: false,
            status: WatcherStatus::default(),
        };
        Self { config, means, state: Mutex::new(state), bell: Notify::new() }
    }

    /// Changes what is shared, and shows it.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = change(&mut state);
        state.status.state = state_of(state.list, state.active, state.queue_answers);
        state.status.active = state.active == Active::Ours;
        state.status.unpublished = state.outbox.waiting();
        self.means.metrics.active.set(i64::from(state.status.active));
        self.means.metrics.unpublished.set(i64::try_from(state.status.unpublished).unwrap_or(i64::MAX));
        self.means.status.send_replace(state.status.clone());
        answer
    }

    /// Shows that the watcher has ended.
    pub(crate) fn end(&self) {
        self.update(|state| (state.status.process_id, state.status.waiting) = (None, None));
        self.means.metrics.active.set(0);
        self.means.status.send_modify(|status| {
            status.state = WatcherState::Ended;
            status.active = false;
        });
    }

    /// The browser hung or died: until the next one has the list open, whoever stands by watches better.
    pub(crate) fn turn_blind(&self) {
        if !self.update(|state| std::mem::replace(&mut state.is_blind, true)) {
            self.bell.notify_one();
        }
    }

    /// Whether the browser hung or died, and the list has not answered since.
    pub(crate) fn is_blind(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_blind
    }

    /// Shows what the list is waited for, or that it is not any more.
    pub(crate) fn show_waiting(&self, told: Option<&Waiting>) {
        if self.means.status.borrow().waiting.is_some() == told.is_some() {
            return;
        }
        let now = (Instant::now(), self.means.clock.now());
        let awaited = told.map(|waiting| Awaited::new(waiting, now));
        if let Some(awaited) = &awaited {
            tracing::warn!(%awaited, "the list does not show what it should");
        } else {
            tracing::info!("the list goes on");
        }
        self.update(|state| state.status.waiting = awaited);
    }

    /// Takes the items of a look, oldest first. Answers how many are new to this watcher.
    pub(crate) fn take(&self, now: Instant, items: Vec<Item>) -> usize {
        let task = |item| self.task(item);
        let (active, offered) = self.update(|state| {
            let offered = match state.active {
                Active::Ours => state.outbox.offer(items, task),
                // While nobody is known to be active, nothing that was seen may be forgotten.
                other => {
                    state.sightings.note(now, items, task, other == Active::Another && state.queue_answers)
                }
            };
            (state.active == Active::Ours, offered)
        });
        if active {
            self.count(offered);
        }
        offered.new
    }

    /// This watcher is the active one now: what it saw lately is queued. `again`: it was before, and gave that up by itself.
    pub(crate) fn take_over(&self, again: bool) {
        let offered = self.update(|state| {
            state.active = Active::Ours;
            state.queue_answers = true;
            let seen = state.sightings.take();
            if again { state.outbox.resume(seen) } else { state.outbox.take_over(seen) }
        });
        self.count(offered);
        tracing::info!(fleet = %self.config.fleet, seen = offered.new, "this watcher is the active one");
    }

    fn count(&self, Offered { new, no_room }: Offered) {
        if new > 0 {
            self.bell.notify_one();
        }
        if no_room > 0 {
            self.means.metrics.deferred.inc_by(no_room as u64);
            tracing::warn!(
                no_room,
                "too many items wait for the queue: these are taken when the list still shows them later"
            );
        }
    }

    /// Whether any of these items was seen before.
    pub(crate) fn knows_any(&self, items: &BTreeSet<ItemId>) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        items.iter().any(|item| state.outbox.knows(item) || state.sightings.knows(item))
    }

    /// The next tasks to queue.
    pub(crate) fn batch(&self) -> Vec<Task> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).outbox.batch()
    }

    /// The queue has confirmed the first `count` tasks of the last batch.
    pub(crate) fn confirm(&self, count: usize, published: Published) {
        self.means.metrics.discovered.inc_by(published.new as u64);
        self.update(|state| {
            state.queue_answers = true;
            state.outbox.confirm(count);
            state.status.discovered += published.new as u64;
            state.status.known += published.known as u64;
        });
    }

    fn task(&self, Item { id, url }: Item) -> Task {
        Task {
            schema_version: SCHEMA_VERSION,
            fleet: self.config.fleet.clone(),
            lane: self.config.lanes.lane_for(&id).name.clone(),
            id,
            url,
            discovered_at: self.means.clock.now(),
            attempt: 1,
            deadline: None,
            last_failure: None,
            extra: serde_json::Map::new(),
        }
    }
}
