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
    /// Loading, opening, taking, leaving: each for itself.
    pub step: Timeout,
    /// The list's answer to a refresh that loads nothing.
    pub refresh: Duration,
    /// A round trip, and one look at the items of a page.
    pub unresponsive: Duration,
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
