//! What to do when the list does not answer.
//!
//! A browser that is gone or hung is thrown away. A list that answers wrongly, or not at all while its browser does, is
//! loaded anew, once at first; if that does not help the browser is replaced, once, since it may be its fault. From
//! then on the site is taken to be at fault and the list is loaded anew with growing pauses. A browser is replaced only
//! by one that starts, and starts are tried with growing pauses too, so that an outage makes no Chrome after Chrome.
//! What is found out takes no longer than the step's own deadline, and so does each repair.

use std::time::Duration;

use scrapefleet_browser::{Layer, StepError};
use scrapefleet_policy::Backoff;

/// The pause before the list is asked again when earlier repairs did not help.
const PAUSE: Backoff = Backoff::from(Duration::from_millis(250)).to(Duration::from_secs(5));

/// The pause before another start of a browser when earlier ones failed: a start costs seconds of a processor.
const START_PAUSE: Backoff = Backoff::from(Duration::from_millis(250)).to(Duration::from_secs(30));

/// What to do about a list that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Load the list anew.
    Reload,
    /// Start another browser, and keep the present one if that fails.
    Replace,
    /// Throw the browser away, then start another.
    Rebuild,
    /// Start a browser: there is none.
    Start,
}

/// The failures of the list since it last answered.
#[derive(Debug, Clone, Default)]
pub struct Repair {
    failures: u32,
    replaced: bool,
}

impl Repair {
    /// What to do about `error`, and how long to wait first. `open`: there is a browser with the list; `random` is from 0
    /// to 1.
    pub fn after(&mut self, error: &StepError, open: bool, random: f64) -> (Remedy, Duration) {
        self.failures = self.failures.saturating_add(1);
        let remedy = if open { self.remedy(error.layer()) } else { Remedy::Start };
        self.replaced |= remedy != Remedy::Reload;
        let backoff = if remedy == Remedy::Start { START_PAUSE } else { PAUSE };
        // The first two tries are free: most failures end with them.
        let pause = match self.failures {
            0..=2 => Duration::ZERO,
            more => backoff.delay(more - 2, random),
        };
        (remedy, pause)
    }

    fn remedy(&self, layer: Layer) -> Remedy {
        match layer {
            Layer::Browser => Remedy::Rebuild,
            Layer::Item | Layer::Site if self.failures == 2 && !self.replaced => Remedy::Replace,
            Layer::Item | Layer::Site => Remedy::Reload,
        }
    }

    /// The list answered.
    pub fn done(&mut self) {
        *self = Self::default();
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
        (0..n).map(|_| repair.after(&error(fault), true, 0.5).0).collect()
    }

    fn pauses(open: bool) -> Vec<Duration> {
        let mut repair = Repair::default();
        (0..20).map(|_| repair.after(&error(Fault::SiteUnreachable), open, 1.0).1).collect()
    }

    #[test]
    fn a_dead_browser_is_thrown_away_each_time() {
        assert_eq!(remedies(Fault::BrowserGone, 3), [Remedy::Rebuild; 3]);
        assert_eq!(remedies(Fault::Timeout, 1), [Remedy::Rebuild]);
    }

    #[test]
    fn a_list_that_answers_wrongly_costs_one_browser_at_most() {
        use Remedy::{Reload, Replace};
        assert_eq!(remedies(Fault::SiteUnreachable, 5), [Reload, Replace, Reload, Reload, Reload]);
        assert_eq!(remedies(Fault::Unusable, 3), [Reload, Replace, Reload]);
    }

    #[test]
    fn a_browser_that_was_just_thrown_away_is_not_replaced_again() {
        let mut repair = Repair::default();
        assert_eq!(repair.after(&error(Fault::BrowserGone), true, 0.5).0, Remedy::Rebuild);
        assert_eq!(repair.after(&error(Fault::SiteUnreachable), true, 0.5).0, Remedy::Reload);
    }

    #[test]
    fn where_there_is_no_browser_one_is_started_whatever_failed() {
        let mut repair = Repair::default();
        for fault in [Fault::CannotStart, Fault::SiteUnreachable, Fault::Unusable] {
            assert_eq!(repair.after(&error(fault), false, 0.5).0, Remedy::Start);
        }
    }

    #[test]
    fn pauses_grow_only_when_repairs_do_not_help() {
        for (open, longest) in [(true, 5), (false, 30)] {
            let pauses = pauses(open);
            assert_eq!(pauses[..2], [Duration::ZERO; 2]);
            assert!(pauses.is_sorted() && pauses[2] > Duration::ZERO);
            assert_eq!(pauses.last(), Some(&Duration::from_secs(longest)));
        }
        let mut repair = Repair::default();
        (0..9).for_each(|_| _ = repair.after(&error(Fault::SiteUnreachable), true, 1.0));
        repair.done();
        assert_eq!(repair.after(&error(Fault::SiteUnreachable), true, 1.0).1, Duration::ZERO);
    }
}
