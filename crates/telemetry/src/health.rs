//! The three signals of health: it answers, it can take work, it makes progress.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use scrapefleet_policy::Instant;

mod collector;
mod pulse;
mod report;

pub(crate) use collector::HealthCollector;
use pulse::Pulse;
pub use report::{Condition, Report};

/// The health of a program. Clones share it, and so do the handles it gives out.
///
/// - It **answers** (`/livez`) while every [`Heartbeat`] beats within its deadline.
/// - It **can take work** (`/readyz`) while every [`Check`] passes.
/// - It **makes progress** (`/progressz`) while every [`Progress`] that is not idle is made within its deadline.
///
/// Each part has a name. Who asks for a name that exists takes it over, as after a restart of that part: older handles
/// of that name no longer count. A handle that is dropped leaves its part as it was, so that what died in
/// silence is found out; who ends in order calls `retire`.
#[derive(Debug, Clone, Default)]
pub struct Health {
    parts: Arc<Mutex<Parts>>,
}

#[derive(Debug, Default)]
struct Parts {
    heartbeats: BTreeMap<String, Shared<Pulse>>,
    checks: BTreeMap<String, Shared<Option<String>>>,
    progress: BTreeMap<String, Shared<Pulse>>,
}

type Shared<T> = Arc<Mutex<T>>;

/// Proves that its owner is alive.
#[derive(Debug, Clone)]
pub struct Heartbeat(Part<Pulse>);

/// Says whether something that work needs is there.
#[derive(Debug, Clone)]
pub struct Check(Part<Option<String>>);

/// Proves that its owner gets somewhere, or has nothing to do.
#[derive(Debug, Clone)]
pub struct Progress(Part<Pulse>);

#[derive(Debug)]
struct Part<T> {
    name: String,
    value: Shared<T>,
    health: Health,
    map: fn(&mut Parts) -> &mut BTreeMap<String, Shared<T>>,
}

impl Health {
    /// Nothing to watch yet: everything is well.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A heartbeat that must be beaten within `deadline` of the last beat; the first one is now.
    #[must_use]
    pub fn heartbeat(&self, name: impl Into<String>, deadline: Duration) -> Heartbeat {
        Heartbeat(self.part(name, Pulse::beating(deadline, Instant::now()), |parts| &mut parts.heartbeats))
    }

    /// A check that fails for `reason` until it is told otherwise.
    #[must_use]
    pub fn check(&self, name: impl Into<String>, reason: impl Into<String>) -> Check {
        Check(self.part(name, Some(reason.into()), |parts| &mut parts.checks))
    }

    /// Progress that must be made within `deadline` of the last, except while idle. It begins idle.
    #[must_use]
    pub fn progress(&self, name: impl Into<String>, deadline: Duration) -> Progress {
        Progress(self.part(name, Pulse::idle(deadline), |parts| &mut parts.progress))
    }

    /// Whether it answers: the heartbeats.
    #[must_use]
    pub fn live(&self) -> Report {
        let now = Instant::now();
        Report::of(&self.lock().heartbeats, |pulse| pulse.condition(now, "no beat"))
    }

    /// Whether it can take work: the checks.
    #[must_use]
    pub fn ready(&self) -> Report {
        Report::of(&self.lock().checks, |reason| Condition::because(reason.clone()))
    }

    /// Whether it makes progress.
    #[must_use]
    pub fn progressing(&self) -> Report {
        let now = Instant::now();
        Report::of(&self.lock().progress, |pulse| pulse.condition(now, "no progress"))
    }

    fn part<T>(
        &self,
        name: impl Into<String>,
        value: T,
        map: fn(&mut Parts) -> &mut BTreeMap<String, Shared<T>>,
    ) -> Part<T> {
        let (name, value) = (name.into(), Arc::new(Mutex::new(value)));
        map(&mut self.lock()).insert(name.clone(), value.clone());
        Part { name, value, health: self.clone(), map }
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        lock(&self.parts)
    }
}

impl Heartbeat {
    /// It is alive.
    pub fn beat(&self) {
        lock(&self.0.value).beat(Instant::now());
    }

    /// It has ended in order and is no longer watched.
    pub fn retire(self) {
        self.0.retire();
    }
}

impl Check {
    /// It is there.
    pub fn pass(&self) {
        *lock(&self.0.value) = None;
    }

    /// It is not there, and why.
    pub fn fail(&self, reason: impl Into<String>) {
        *lock(&self.0.value) = Some(reason.into());
    }

    /// Passes, or fails with the error's message.
    pub fn set<T, E: std::fmt::Display>(&self, result: &Result<T, E>) {
        match result {
            Ok(_) => self.pass(),
            Err(error) => self.fail(error.to_string()),
        }
    }

    /// It is no longer needed.
    pub fn retire(self) {
        self.0.retire();
    }
}

impl Progress {
    /// It got somewhere; from now on it must again within the deadline.
    pub fn made(&self) {
        lock(&self.0.value).beat(Instant::now());
    }

    /// It has something to do. The deadline runs from now, unless it runs already.
    pub fn busy(&self) {
        lock(&self.0.value).start(Instant::now());
    }

    /// It has nothing to do: no progress is expected.
    pub fn idle(&self) {
        lock(&self.0.value).stop();
    }

    /// It has ended in order and is no longer watched.
    pub fn retire(self) {
        self.0.retire();
    }
}

impl<T> Part<T> {
    /// Takes the part out, unless its name was taken over.
    fn retire(self) {
        let mut parts = self.health.lock();
        let map = (self.map)(&mut parts);
        if map.get(&self.name).is_some_and(|current| Arc::ptr_eq(current, &self.value)) {
            map.remove(&self.name);
        }
    }
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            value: self.value.clone(),
            health: self.health.clone(),
            map: self.map,
        }
    }
}

/// What is kept is whole after each statement, so a panic elsewhere leaves nothing half done.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
