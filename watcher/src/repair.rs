//! What to do when the list does not answer.
//!
//! A browser that is gone or hung is replaced. A list that answers wrongly, or not at all while its browser does, is
//! loaded anew, once at first; if that does not help the browser is replaced, once, since it may be its fault. From
//! then on the site is taken to be at fault and the list is loaded anew with growing pauses, so that an outage makes
//! no Chrome after Chrome. What is found out takes no longer than the step's own deadline, and so does each repair.

use std::time::Duration;

use scrapefleet_browser::{Layer, StepError};
use scrapefleet_policy::Backoff;

/// The pause before a repair when earlier ones did not help.
const PAUSE: Backoff = Backoff::from(Duration::from_millis(250)).to(Duration::from_secs(5));

/// What to do about a list that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Load the list anew.
    Reload,
    /// Replace the browser.
    Rebuild,
}

/// The failures of the list since it last answered.
#[derive(Debug, Clone, Default)]
pub struct Repair {
    failures: u32,
    rebuilt: bool,
}

impl Repair {
    /// What to do about `error`, and how long to wait first; `random` is from 0 to 1.
    pub fn after(&mut self, error: &StepError, random: f64) -> (Remedy, Duration) {
        self.failures += 1;
        let remedy = self.remedy(error.layer());
        self.rebuilt |= remedy == Remedy::Rebuild;
        // The first two tries are free: most failures end with them.
        let pause = match self.failures {
            0..=2 => Duration::ZERO,
            more => PAUSE.delay(more - 2, random),
        };
        (remedy, pause)
    }

    fn remedy(&self, layer: Layer) -> Remedy {
        match layer {
            Layer::Browser => Remedy::Rebuild,
            Layer::Item | Layer::Site if self.failures == 2 && !self.rebuilt => Remedy::Rebuild,
            Layer::Item | Layer::Site => Remedy::Reload,
        }
    }

    /// The list answered.
    pub fn done(&mut self) {
        *self = Self::default();
    }

    /// How often it failed since it last answered.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use scrapefleet_browser::{Fault, Step};

    use super::*;

    fn error(fault: Fault) -> StepError {
        StepError::new(Step::Refresh, fault, "")
    }

    fn remedies(fault: Fault, n: usize) -> Vec<Remedy> {
        let mut repair = Repair::default();
        (0..n).map(|_| repair.after(&error(fault), 0.5).0).collect()
    }

    #[test]
    fn a_dead_browser_is_replaced_each_time() {
        assert_eq!(remedies(Fault::BrowserGone, 3), [Remedy::Rebuild; 3]);
        assert_eq!(remedies(Fault::Timeout, 1), [Remedy::Rebuild]);
    }

    #[test]
    fn a_list_that_answers_wrongly_costs_one_browser_at_most() {
        use Remedy::{Rebuild, Reload};
        assert_eq!(remedies(Fault::SiteUnreachable, 5), [Reload, Rebuild, Reload, Reload, Reload]);
        assert_eq!(remedies(Fault::Unusable, 3), [Reload, Rebuild, Reload]);
    }

    #[test]
    fn pauses_grow_only_when_repairs_do_not_help() {
        let mut repair = Repair::default();
        let pauses: Vec<_> = (0..12).map(|_| repair.after(&error(Fault::SiteUnreachable), 1.0).1).collect();
        assert_eq!(pauses[..2], [Duration::ZERO; 2]);
        assert!(pauses.is_sorted() && pauses[2] > Duration::ZERO);
        assert_eq!(pauses.last(), Some(&Duration::from_secs(5)));
        repair.done();
        assert_eq!(repair.after(&error(Fault::SiteUnreachable), 1.0).1, Duration::ZERO);
    }
}
