//! What the operator remembers of a fleet between two looks. Losing it harms nothing; see [`crate::plan`].

use std::{collections::HashMap, sync::Mutex, sync::PoisonError, time::Duration};

use jiff::Timestamp;
use scrapefleet_api::ScrapeFleet;
use scrapefleet_policy::{Backoff, Instant};

use crate::{
    abandonments::Abandonments,
    plan::{Images, Memory, ObservedPod, ReportedState},
    prepared::Prepared,
    status::Writer,
    tally::Tally,
};

/// How soon a fleet is looked at again after a failure.
const FAILED: Backoff = Backoff::from(Duration::from_secs(1)).to(Duration::from_mins(1)).jitter(0.0);

/// How long a site's list may be repaired before anyone is told: most repairs are a page load.
const REPAIR: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

/// What is remembered of one fleet.
#[derive(Debug)]
pub struct Session {
    /// The fleet's uid: another of the same name is another fleet.
    uid: Option<String>,
    /// When it was first looked at.
    pub begun: Instant,
    /// For the plan.
    pub memory: Memory,
    /// What was counted.
    pub tally: Tally,
    /// Which browsers that were thrown away were told of.
    pub abandonments: Abandonments,
    /// What was written.
    pub writer: Writer,
    prepared: Option<Prepared>,
    repairing_since: Option<Timestamp>,
    failures: u32,
    /// The generation that was looked at last.
    generation: Option<i64>,
    /// Not to be looked at before.
    pub not_before: Option<Instant>,
    /// When the next look is due.
    pub due: Instant,
    /// The generation of which it was said that it cannot be read.
    pub unreadable: Option<i64>,
}

impl Session {
    fn new(fleet: Option<&ScrapeFleet>) -> Self {
        let now = Instant::now();
        Self {
            uid: fleet.and_then(|fleet| fleet.metadata.uid.clone()),
            begun: now,
            memory: Memory::default(),
            tally: Tally::resumed(fleet.and_then(|fleet| fleet.status.as_ref())),
            abandonments: Abandonments::default(),
            writer: Writer::default(),
            prepared: None,
            repairing_since: None,
            failures: 0,
            generation: None,
            not_before: None,
            due: now,
            unreadable: None,
        }
    }

    /// What follows from the manifest.
    pub fn prepared(&mut self, fleet: &ScrapeFleet, images: &Images) -> Prepared {
        match &self.prepared {
            Some(known) if known.generation == fleet.metadata.generation => known.clone(),
            _ => self.prepared.insert(Prepared::of(fleet, images)).clone(),
        }
    }

    /// Whether the site's list has not answered for a while: all watchers that say anything repair it.
    pub fn list_is_broken(&mut self, pods: &[ObservedPod], now: Timestamp) -> bool {
        let states = |of: &[ReportedState]| {
            let mut live = pods.iter().filter(|pod| pod.is_live());
            live.any(|pod| pod.fresh_report(now).is_some_and(|report| of.contains(&report.state)))
        };
        let broken = states(&[ReportedState::Repairing])
            && !states(&[ReportedState::Watching, ReportedState::Standby]);
        if !broken {
            self.repairing_since = None;
            return false;
        }
        now.duration_since(*self.repairing_since.get_or_insert(now)) >= REPAIR
    }

    /// It is of this generation: another one has another chance.
    pub fn saw(&mut self, generation: Option<i64>) {
        if self.generation != generation {
            self.generation = generation;
            self.succeeded();
        }
    }

    /// A look succeeded.
    pub fn succeeded(&mut self) {
        (self.failures, self.not_before) = (0, None);
    }

    /// A look failed; how long until the next.
    pub fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let delay = FAILED.delay(self.failures, 1.0);
        self.not_before = Some(Instant::now() + delay);
        delay
    }
}

/// The sessions of all fleets, by namespace and name.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<(String, String), Option<Session>>>);

impl Sessions {
    /// Takes the session of a fleet out for one look; give it back with [`Sessions::put`]. What is not given back, as
    /// when a look takes too long, is begun anew.
    pub fn take(&self, key: &(String, String), fleet: Option<&ScrapeFleet>) -> Session {
        let session = self.lock().insert(key.clone(), None).flatten();
        let same = |session: &Session| match fleet {
            Some(fleet) => session.uid.is_none() || session.uid == fleet.metadata.uid,
            None => true,
        };
        session.filter(same).unwrap_or_else(|| Session::new(fleet))
    }

    /// Gives it back.
    pub fn put(&self, key: &(String, String), session: Session) {
        self.lock().insert(key.clone(), Some(session));
    }

    /// Forgets fleets that are gone, and says which.
    pub fn retain(&self, is_there: impl Fn(&(String, String)) -> bool) -> Vec<(String, String)> {
        let mut sessions = self.lock();
        let gone: Vec<_> = sessions.keys().filter(|key| !is_there(key)).cloned().collect();
        for key in &gone {
            sessions.remove(key);
        }
        gone
    }

    /// How many fleets should have been looked at by now and were not.
    pub fn overdue(&self, now: Instant) -> usize {
        self.lock().values().flatten().filter(|session| session.due < now).count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Option<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::{fleet, pod, second};

    fn key() -> (String, String) {
        ("space".into(), "fleet".into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_fleet_that_keeps_failing_is_looked_at_less_and_less_often() {
        let mut session = Session::new(None);
        let seconds: Vec<u64> = (0..8).map(|_| session.failed().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        session.succeeded();
        assert_eq!(session.failed().as_secs(), 1);
        session.saw(None);
        assert_eq!(session.failed().as_secs(), 2);
        session.saw(Some(2));
        assert_eq!((session.not_before, session.failed().as_secs()), (None, 1), "another manifest");
    }

    #[tokio::test(start_paused = true)]
    async fn another_fleet_of_the_same_name_begins_anew() {
        let sessions = Sessions::default();
        let mut fleet = fleet(1, 1);
        let mut session = sessions.take(&key(), Some(&fleet));
        session.failed();
        sessions.put(&key(), session);
        assert!(sessions.take(&key(), Some(&fleet)).not_before.is_some());
        assert!(sessions.take(&key(), Some(&fleet)).not_before.is_none(), "it was not given back");
        let mut session = sessions.take(&key(), Some(&fleet));
        session.failed();
        sessions.put(&key(), session);
        fleet.metadata.uid = Some("another".into());
        assert!(sessions.take(&key(), Some(&fleet)).not_before.is_none());
        assert_eq!(sessions.retain(|_| false), [key()]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_repair_is_nobodys_business() {
        let mut session = Session::new(None);
        let watcher = |state, at| vec![pod(0).watcher().reporting(state, 0, second(at))];
        for (state, at, broken) in [
            (ReportedState::Repairing, 0, false),
            (ReportedState::Repairing, 4, false),
            (ReportedState::Watching, 5, false),
            (ReportedState::Repairing, 6, false),
            (ReportedState::Repairing, 11, true),
        ] {
            assert_eq!(session.list_is_broken(&watcher(state, at), second(at)), broken, "{at}");
        }
    }
}
