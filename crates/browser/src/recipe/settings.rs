//! What a factory of browsers is told.

use std::time::Duration;

use scrapefleet_api::{policies::PoliciesSpec, politeness::PolitenessSpec, recipe::Recipe};
use scrapefleet_policy::Timeout;
use url::Url;

use crate::Endpoint;

/// What a factory of browsers is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the site is read.
    pub recipe: Recipe,
    /// Where the site is.
    pub site: Url,
    /// Where browsers run.
    pub endpoint: Endpoint,
    /// How long steps may take.
    pub deadlines: Deadlines,
    /// What may be asked of the site, by all browsers of the factory together.
    pub politeness: PolitenessSpec,
    /// How much is taken from pages.
    pub bounds: Bounds,
}

impl Settings {
    /// A recipe and its site with the defaults for all else.
    #[must_use]
    pub fn new(recipe: Recipe, site: Url) -> Self {
        Self {
            recipe,
            site,
            endpoint: Endpoint::default(),
            deadlines: Deadlines::from(&PoliciesSpec::default()),
            politeness: PolitenessSpec::default(),
            bounds: Bounds::default(),
        }
    }
}

/// How long steps may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deadlines {
    /// Starting Chrome and its driver, which takes about a second on an idle machine.
    pub launch: Duration,
    /// Loading, opening, taking, leaving: each for itself, from when its turn has come.
    pub step: Timeout,
    /// The list's answer to a refresh that loads nothing.
    pub refresh: Duration,
    /// A round trip, and one look at the items of a page.
    pub unresponsive: Duration,
}

/// How long Chrome is given to close a tab past its driver; it takes some ms.
pub(crate) const CLOSING: Duration = Duration::from_secs(2);

impl Deadlines {
    /// The part of a step that a tab of its own is given. The rest is for finding out, when the tab does not answer,
    /// whether it or the whole browser is at fault.
    pub(super) fn tab_share(&self) -> Duration {
        let judging = (CLOSING + self.unresponsive).min(self.step.hard / 3);
        self.step.hard.saturating_sub(judging)
    }

    /// The driver gives up on a page a little before the tab's share of a step ends, so that it is well afterwards.
    pub(super) fn page_load(&self) -> Duration {
        let share = self.tab_share();
        share.saturating_sub(Duration::from_secs(1).min(share / 4))
    }
}

impl From<&PoliciesSpec> for Deadlines {
    fn from(policies: &PoliciesSpec) -> Self {
        let step = Timeout::hard(policies.step.hard.get()).soft(policies.step.soft.get());
        Self {
            launch: Duration::from_secs(30).max(step.hard),
            step,
            refresh: Duration::from_secs(5).min(step.hard),
            unresponsive: policies.abandonment.unresponsive.get(),
        }
    }
}

/// How much is taken from pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The largest artifact, in bytes. At most 16 MiB reach the bot through the driver.
    pub artifact: usize,
    /// The most HTML kept as evidence, in bytes.
    pub html: usize,
    /// The largest screenshot kept as evidence, in bytes.
    pub screenshot: usize,
    /// The most entries read from a list.
    pub entries: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { artifact: 16 << 20, html: 512 << 10, screenshot: 2 << 20, entries: 5000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_step_ends_before_the_whole() {
        let deadlines = Deadlines::from(&PoliciesSpec::default());
        assert_eq!(deadlines.step.hard, Duration::from_secs(15));
        assert_eq!(deadlines.tab_share(), Duration::from_secs(10));
        assert_eq!(deadlines.page_load(), Duration::from_secs(9));
        let short = Deadlines { step: Timeout::hard(Duration::from_secs(2)), ..deadlines };
        assert!(short.page_load() > Duration::ZERO);
        assert!(short.page_load() < short.tab_share() && short.tab_share() < short.step.hard);
    }
}
