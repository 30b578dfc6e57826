//! Steps that take longer than they should, told while they go on.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use scrapefleet_policy::Instant;

use crate::Step;

/// Is told of each step that has taken longer than `policies.step.soft`: once, when that time has passed. The wait for the
/// step's turn is no part of it.
pub type OnSlow = Box<dyn Fn(Step) + Send>;

/// The most steps that are remembered until somebody is told. A browser takes few before it is handed out.
const MOST_UNTOLD: usize = 8;

/// Logs the slow steps of one browser, and tells whoever wants to know.
#[derive(Default)]
pub(crate) struct SlowSteps(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    observer: Option<OnSlow>,
    /// What was slow before there was an observer.
    untold: Vec<Step>,
    /// When the step began that was slow last.
    last: Option<Instant>,
}

impl SlowSteps {
    /// Tells `observer` from now on, and first of what came before.
    pub(crate) fn tell_to(&self, observer: OnSlow) {
        let mut inner = self.lock();
        inner.untold.drain(..).for_each(&observer);
        inner.observer = Some(observer);
    }

    /// The step that began then is slow. It is one step however often this is said of it.
    pub(crate) fn is_slow(&self, step: Step, began: Instant) {
        let mut inner = self.lock();
        if inner.last.replace(began) == Some(began) {
            return;
        }
        tracing::warn!(?step, elapsed = ?began.elapsed(), "a step is slow: policies.step.soft has passed");
        match &inner.observer {
            Some(observer) => observer(step),
            None if inner.untold.len() < MOST_UNTOLD => inner.untold.push(step),
            None => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What is kept is whole after each statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SlowSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlowSteps")
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_step_is_told_once_and_none_is_forgotten_that_came_before() {
        let slow = SlowSteps::default();
        let (told, seen) = mpsc::channel();
        let seen = || seen.try_iter().collect::<Vec<_>>();
        slow.is_slow(Step::Load, Instant::now());
        slow.tell_to(Box::new(move |step| told.send(step).unwrap()));
        assert_eq!(seen(), [Step::Load]);
        tokio::time::advance(Duration::from_secs(1)).await;
        let began = Instant::now();
        slow.is_slow(Step::Open, began);
        tokio::time::advance(Duration::from_secs(1)).await;
        slow.is_slow(Step::Open, began);
        assert_eq!(seen(), [Step::Open]);
        slow.is_slow(Step::Open, Instant::now());
        assert_eq!(seen(), [Step::Open]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_wants_to_know_is_not_kept_for_ever() {
        let slow = SlowSteps::default();
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(1)).await;
            slow.is_slow(Step::Take, Instant::now());
        }
        assert_eq!(slow.lock().untold.len(), MOST_UNTOLD);
    }
}
