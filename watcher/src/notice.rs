//! When it is worth a word that the list does not show what it should.
//!
//! A wrong selector and a slow list look the same until one of them goes on, so a look that waits is told of long before
//! it is given up, as a notice and not as a failure: nothing is repaired because of it, and it is withdrawn as soon as the
//! look goes on. It comes after a [tenth](PART) of the time that a look may take, though not before a second and not after
//! two. A list that is slow in health is learnt: from then on it is told of only when it takes [twice](LONGER) as long as
//! it lately did. A notice outlives a look that is given up for lack of the same thing, since the next waits for it again.

use std::time::Duration;

use scrapefleet_browser::{Fault, StepError, Waiting};
use scrapefleet_policy::Instant;

/// The part of the time of a look that it waits untold.
pub const PART: f64 = 0.1;

/// The shortest time that it does: on a busy machine lists in health take this long now and then. Of a look that may take
/// less than two of them it is half.
pub const SOONEST: Duration = Duration::from_secs(1);

/// The longest, for a list of which nothing is known: a person who has changed a manifest waits for it.
pub const LATEST: Duration = Duration::from_secs(2);

/// How many times as long as lately a list must take to be told of.
pub const LONGER: u32 = 2;

/// What is left of the longest time with each look that took less: it is half after about seventy.
const REMEMBERED: f64 = 0.99;

/// Decides what is told.
#[derive(Debug, Clone, Default)]
pub struct Notices {
    /// What the look waits for now.
    waiting: Option<Waiting>,
    told: Option<Waiting>,
    /// The longest that this look has waited for one thing.
    longest: Duration,
    /// The same of looks that were answered lately.
    usual: Duration,
}

impl Notices {
    /// From `now` on the look waits for this. Nothing: it has not ended, and does not wait.
    pub fn wait(&mut self, waiting: Option<Waiting>, now: Instant) {
        let differs = |other: &Waiting| waiting.as_ref().is_some_and(|new| !new.is_for_the_same_as(other));
        if self.told.as_ref().is_some_and(differs) {
            self.told = None;
        }
        self.waited(now);
        self.waiting = waiting;
    }

    /// Takes note of how long it has waited.
    fn waited(&mut self, now: Instant) {
        let waited = self.waiting.as_ref().map(|waiting| now.saturating_duration_since(waiting.since));
        self.longest = self.longest.max(waited.unwrap_or_default());
    }

    /// When what the look waits for is worth a word. None: it waits for nothing, or that is told already.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let waiting = self.waiting.as_ref().filter(|_| self.told.is_none())?;
        Some(waiting.since + self.patience(waiting.limit))
    }

    /// Tells it.
    pub fn tell(&mut self) {
        self.told.clone_from(&self.waiting);
    }

    /// What is told.
    #[must_use]
    pub fn told(&self) -> Option<&Waiting> {
        self.told.as_ref()
    }

    /// The look was answered at `now`.
    pub fn answered(&mut self, now: Instant) {
        self.waited(now);
        self.usual = self.usual.mul_f64(REMEMBERED).max(std::mem::take(&mut self.longest));
        (self.waiting, self.told) = (None, None);
    }

    /// The look, or a repair, failed.
    pub fn failed(&mut self, error: &StepError) {
        (self.waiting, self.longest) = (None, Duration::ZERO);
        if !lacks_something(error.fault) {
            self.told = None;
        }
    }

    fn patience(&self, limit: Duration) -> Duration {
        let unknown = limit.mul_f64(PART).clamp(SOONEST, LATEST).min(limit / 2);
        unknown.max(self.usual * LONGER)
    }
}

/// Whether the page answered, and does not have what the recipe expects.
fn lacks_something(fault: Fault) -> bool {
    match fault {
        Fault::NotFound | Fault::Script | Fault::Unusable => true,
        Fault::Timeout
        | Fault::PageCrashed
        | Fault::TabClosed
        | Fault::BrowserGone
        | Fault::SiteUnreachable
        | Fault::SiteRefuses
        | Fault::CannotStart
        | Fault::Forbidden
        | Fault::OverBudget => false,
    }
}

#[cfg(test)]
mod tests {
    use scrapefleet_browser::Step;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn waiting(field: &'static str, since: Instant, limit: Duration) -> Waiting {
        let (selector, url) = ("a.none".to_owned(), "http://site.test/".to_owned());
        Waiting { step: Step::Refresh, field, selector, url, since, limit }
    }

    fn error(fault: Fault) -> StepError {
        StepError::new(Step::Refresh, fault, "")
    }

    /// Notices that tell of `list.item`.
    fn told(since: Instant) -> Notices {
        let mut notices = Notices::default();
        notices.wait(Some(waiting("list.item", since, 15 * SECOND)), since);
        notices.tell();
        notices
    }

    #[test]
    fn a_look_is_told_of_long_before_it_is_given_up() {
        let start = Instant::now();
        for (limit, after) in [(500, 250), (1_500, 750), (5_000, 1_000), (15_000, 1_500), (60_000, 2_000)] {
            let mut notices = Notices::default();
            assert_eq!(notices.due(), None);
            notices.wait(Some(waiting("list.item", start, Duration::from_millis(limit))), start);
            assert_eq!(notices.due(), Some(start + Duration::from_millis(after)), "{limit}");
            notices.tell();
            assert_eq!((notices.due(), notices.told().is_some()), (None, true), "{limit}");
        }
    }

    #[test]
    fn a_list_that_is_slow_in_health_is_not_told_of_again_and_again() {
        let (start, mut notices) = (Instant::now(), Notices::default());
        let patience = |notices: &mut Notices| {
            notices.wait(Some(waiting("list.item", start, 15 * SECOND)), start);
            notices.due().unwrap() - start
        };
        assert_eq!(patience(&mut notices), SECOND * 3 / 2);
        notices.answered(start + 3 * SECOND);
        assert_eq!(patience(&mut notices), 6 * SECOND);
        notices.answered(start + 2 * SECOND);
        assert!(patience(&mut notices) > 5 * SECOND, "the slowest of late counts");
        for _ in 0..70 {
            notices.answered(start);
        }
        let later = patience(&mut notices);
        assert!(later > 2 * SECOND && later < 3 * SECOND, "{later:?}");
        for _ in 0..200 {
            notices.answered(start);
        }
        assert_eq!(patience(&mut notices), SECOND * 3 / 2);
    }

    #[test]
    fn each_part_of_a_look_is_learnt_for_itself() {
        let (start, mut notices) = (Instant::now(), Notices::default());
        let slow = start + 3 * SECOND;
        notices.wait(Some(waiting("list.refresh.answered", start, 15 * SECOND)), start);
        notices.wait(Some(waiting("list.item", slow, 15 * SECOND)), slow);
        notices.answered(slow + SECOND / 2);
        notices.wait(Some(waiting("list.refresh.answered", slow, 15 * SECOND)), slow);
        assert_eq!(notices.due(), Some(slow + 6 * SECOND), "the slowest part counts");
    }

    #[test]
    fn what_goes_on_is_withdrawn() {
        let start = Instant::now();
        let mut answered = told(start);
        answered.answered(start + 2 * SECOND);
        assert_eq!(answered.told(), None);
        let mut another = told(start);
        let next = start + SECOND;
        another.wait(Some(waiting("list.refresh.click", next, 15 * SECOND)), next);
        assert_eq!((another.told(), another.due()), (None, Some(start + SECOND * 5 / 2)));
    }

    #[test]
    fn a_notice_outlives_the_look_that_was_given_up_for_the_same_reason_only() {
        use Fault as F;
        let start = Instant::now();
        for (fault, stays) in [
            (F::NotFound, true),
            (F::Script, true),
            (F::Unusable, true),
            (F::Timeout, false),
            (F::BrowserGone, false),
            (F::SiteUnreachable, false),
            (F::SiteRefuses, false),
            (F::CannotStart, false),
        ] {
            let mut notices = told(start);
            notices.failed(&error(fault));
            assert_eq!(notices.told().is_some(), stays, "{fault:?}");
            let next = start + 15 * SECOND;
            notices.wait(None, next);
            assert_eq!(notices.told().is_some(), stays, "{fault:?}: the next look begins");
            notices.wait(Some(waiting("list.item", next, 15 * SECOND)), next);
            assert_eq!(notices.due().is_some(), !stays, "{fault:?}");
            assert_eq!(notices.told().map(|told| told.since), stays.then_some(start), "{fault:?}");
        }
    }
}
