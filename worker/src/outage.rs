//! How long the site has been at fault, as one bot sees it.

use tokio::time::{Duration, Instant};

/// A bot that has seen nothing but the site's faults for this long, and has nothing open, gives its Chrome back.
///
/// Outages of a restart, a deployment or a proxy last seconds to a few minutes: who waits them out has its browser at hand
/// when the site comes back. After ten minutes nothing speaks for a quick end any more, a Chrome that does nothing costs
/// more than half a gigabyte, and one pod of the fleet is enough to find out.
pub const PATIENCE: Duration = Duration::from_mins(10);

/// Without news of the site for so many cooldowns of the breaker, nobody knows how it is: there was nothing to try it with.
const QUIET_COOLDOWNS: u32 = 4;

/// But not sooner than this.
const QUIET: Duration = Duration::from_mins(2);

/// What the site failed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The shared page, or building a browser with it.
    Page,
    /// An item's own page.
    Item,
}

/// The present outage of the site, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Outage(Option<Seen>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    since: Instant,
    last: Instant,
    failed: Failed,
}

impl Outage {
    /// The site failed once more.
    pub fn fail(&mut self, failed: Failed, now: Instant) {
        let since = self.0.map_or(now, |seen| seen.since);
        self.0 = Some(Seen { since, last: now, failed });
    }

    /// The site answered as it should.
    pub fn end(&mut self) {
        self.0 = None;
    }

    /// How long it has lasted without a break; zero when there is none.
    #[must_use]
    pub fn lasts(&self, now: Instant) -> Duration {
        self.0.map_or(Duration::ZERO, |seen| now - seen.since)
    }

    /// Whether a shared page that is connected says that it is over: what failed was the page, or it failed so long ago
    /// that it says nothing any more. `cooldown` is how often the site is tried when there is something to try it with.
    #[must_use]
    pub fn is_disproved_by_page(&self, cooldown: Duration, now: Instant) -> bool {
        let quiet = QUIET.max(cooldown.saturating_mul(QUIET_COOLDOWNS));
        self.0.is_some_and(|seen| seen.failed == Failed::Page || now - seen.last > quiet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(15);

    #[tokio::test(start_paused = true)]
    async fn an_outage_lasts_until_the_site_answers() {
        let begun = Instant::now();
        let at = |secs| begun + Duration::from_secs(secs);
        let mut outage = Outage::default();
        assert_eq!(outage.lasts(at(0)), Duration::ZERO);
        outage.fail(Failed::Item, at(0));
        outage.fail(Failed::Page, at(30));
        assert_eq!(outage.lasts(at(40)), Duration::from_secs(40));
        outage.end();
        assert_eq!(outage.lasts(at(50)), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_is_connected_disproves_what_is_old_or_of_the_page() {
        let begun = Instant::now();
        let at = |secs| begun + Duration::from_secs(secs);
        for (failed, cooldown, after, expected) in [
            (Failed::Page, COOLDOWN, 0, true),
            (Failed::Item, COOLDOWN, 120, false),
            (Failed::Item, COOLDOWN, 121, true),
            (Failed::Item, COOLDOWN * 4, 240, false),
            (Failed::Item, COOLDOWN * 4, 241, true),
        ] {
            let mut outage = Outage::default();
            assert!(!outage.is_disproved_by_page(cooldown, at(after)), "there is none");
            outage.fail(failed, at(0));
            assert_eq!(outage.is_disproved_by_page(cooldown, at(after)), expected, "{failed:?} {after}");
        }
    }
}
