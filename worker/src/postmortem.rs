//! Post-mortems: what is left behind of each browser that is thrown away, so that a person can find out why.
//!
//! A post-mortem is a JSON object in the store, beside it a screenshot where the browser could still give one. It must
//! never cost what it is about: the next browser is not kept waiting by one that hangs, and the store is written to
//! beside the bot's loop. So there are bounds to all of it, and what is left out is counted.

mod report;
mod sight;
mod standstill;
mod writing;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use scrapefleet_browser::StepError;
use scrapefleet_policy::within;
use scrapefleet_telemetry::logging::{self, Recent};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bot::Bot;
use report::Report;
use sight::Sight;
pub use standstill::Standstill;
use writing::Writing;

/// The most post-mortems of one bot of a fleet, under whatever pod it runs, within an hour of the clock. A browser that
/// dies more often dies of the same.
pub const MOST_PER_HOUR: u32 = 20;

/// The most post-mortems that are written at once by one process.
const AT_ONCE: u32 = 2;

/// How long a bot that ends waits for what is being written: its items are given back before.
const SETTLE: Duration = Duration::from_secs(2);

/// What the post-mortems of a process's bots have in common. Clones share the bounds.
#[derive(Debug, Clone)]
pub struct PostMortems {
    /// The pod or machine.
    host: Option<String>,
    recent: Recent,
    places: Arc<Semaphore>,
    hours: Arc<Mutex<Hours>>,
}

/// For each bot the hour of its last post-mortem and the next free number in it.
type Hours = BTreeMap<u32, (i64, u32)>;

impl Default for PostMortems {
    fn default() -> Self {
        Self::new(None, Recent::default())
    }
}

impl PostMortems {
    /// Post-mortems that say `host`, and the lines that `recent` has at the time.
    #[must_use]
    pub fn new(host: Option<String>, recent: Recent) -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE as usize));
        Self { host, recent, places, hours: Arc::default() }
    }

    /// Those of this process: the name of its pod or machine, as the kernel knows it, and the lines of its log.
    #[must_use]
    pub fn of_this_process() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        Self::new(host.map(|host| host.trim().to_owned()), logging::recent())
    }

    /// Waits, within a bound, until nothing is being written any more.
    pub(crate) async fn settle(&self) {
        if within(SETTLE, "write post-mortems", self.places.acquire_many(AT_ONCE)).await.is_err() {
            tracing::warn!("a post-mortem was not written in time");
        }
    }

    /// The number that the next post-mortem of this bot has within the hour, or none when there are enough.
    fn number(&self, slot: u32, at: Timestamp) -> Option<u32> {
        let mut hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        let (hour, next) = hours.entry(slot).or_default();
        if *hour != hour_of(at) {
            (*hour, *next) = (hour_of(at), 0);
        }
        let number = *next;
        *next = next.saturating_add(1);
        (number < MOST_PER_HOUR).then_some(number)
    }

    /// All numbers of this bot's hour before `next` are taken, as the store says.
    fn taken(&self, slot: u32, at: Timestamp, next: u32) {
        let mut hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((hour, free)) = hours.get_mut(&slot)
            && *hour == hour_of(at)
        {
            *free = next.max(*free);
        }
    }
}

/// The hour of the clock, in UTC as in the keys.
fn hour_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}

impl Bot {
    /// Has written down what can be seen of the browser that is thrown away because of `error`; `last`: the bot ends
    /// with it.
    ///
    /// It takes no longer than [`sight`] allows, which for a browser that may not answer is a fraction of a second.
    pub(crate) async fn write_post_mortem(&mut self, error: &StepError, last: bool) {
        let at = self.parts.clock.now();
        let (permit, number) = match self.allowed(at) {
            Ok(allowed) => allowed,
            Err(outcome) => {
                tracing::debug!(slot = self.config.slot, outcome, "a post-mortem is left out");
                self.parts.metrics.post_mortems.with_label_values(&[outcome]).inc();
                return;
            }
        };
        let sight = Sight::of(self.browser.as_deref_mut(), error).await;
        let report = Report {
            schema_version: report::SCHEMA_VERSION,
            fleet: self.config.fleet.clone(),
            host: self.post_mortems.host.clone(),
            at,
            last,
            why: error.into(),
            bot: self.snapshot(),
            processes: sight.processes,
            no_processes: sight.no_processes,
            screenshot: None,
            no_screenshot: sight.no_screenshot,
            log: self.post_mortems.recent.lines().iter().map(ToString::to_string).collect(),
        };
        let writing = Writing {
            store: self.parts.store.clone(),
            all: self.post_mortems.clone(),
            report,
            screenshot: sight.screenshot,
        };
        tokio::spawn(writing.carry_out(number, permit, self.parts.metrics.post_mortems.clone()));
    }

    /// A place among those that are written at once and a number within the hour, or why there is none.
    fn allowed(&self, at: Timestamp) -> Result<(OwnedSemaphorePermit, u32), &'static str> {
        let permit = self.post_mortems.places.clone().try_acquire_owned().map_err(|_| "busy")?;
        let number = self.post_mortems.number(self.config.slot, at).ok_or("limited")?;
        Ok((permit, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_bot_has_so_many_an_hour_and_others_have_theirs() {
        let all = PostMortems::default();
        let numbers: Vec<_> = (0..MOST_PER_HOUR + 3).filter_map(|_| all.number(1, at(10))).collect();
        assert_eq!(numbers, (0..MOST_PER_HOUR).collect::<Vec<_>>());
        assert_eq!(all.clone().number(1, at(3599)), None, "clones share the bounds");
        assert_eq!(all.number(2, at(10)), Some(0));
        assert_eq!(all.number(1, at(3600)), Some(0), "another hour");
    }

    #[test]
    fn what_the_store_has_counts() {
        let all = PostMortems::default();
        assert_eq!(all.number(1, at(0)), Some(0));
        all.taken(1, at(0), 7);
        assert_eq!(all.number(1, at(1)), Some(7));
        all.taken(1, at(0), 3);
        assert_eq!(all.number(1, at(1)), Some(8));
        assert_eq!(all.number(1, at(3600)), Some(0));
        all.taken(1, at(0), 9);
        assert_eq!(all.number(1, at(3600)), Some(1), "that was an hour ago");
    }
}
