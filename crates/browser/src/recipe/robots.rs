//! robots.txt: what a site lets robots open.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use scrapefleet_policy::{Instant, within};
use texting_robots::Robot;
use tokio::sync::Mutex;
use url::Url;

use crate::{Fault, Step, StepError};

/// The name by which robots.txt speaks to this product.
pub(super) const TOKEN: &str = "ScrapeFleet";

/// How long one request for robots.txt may take.
const FETCH: Duration = Duration::from_secs(10);

/// How long an answer counts; RFC 9309 (2.4) allows a day.
const FRESH: Duration = Duration::from_hours(1);

/// How long a failure counts, so that a site that is down is not asked for each item.
const FAILED: Duration = Duration::from_secs(5);

/// What is read of a robots.txt: the 500 kibibytes that RFC 9309 (2.5) asks for.
const MOST_READ: usize = 500 << 10;

/// The most origins whose rules are kept: those of list, page and items.
const MOST_ORIGINS: usize = 8;

/// The rules of a site's origins, fetched when they are first needed.
#[derive(Debug)]
pub(super) struct Robots {
    client: reqwest::Client,
    known: Mutex<BTreeMap<String, Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    at: Instant,
    rules: Result<Rules, String>,
}

#[derive(Debug, Clone)]
enum Rules {
    /// Everything may be opened.
    All,
    /// What these rules allow.
    Some(Arc<Robot>),
}

impl Robots {
    pub(super) fn new() -> Result<Self, String> {
        // An error says that the program has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(format!("{TOKEN}/{}", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::limited(5))
            .build()
            .map_err(|e| format!("cannot make an HTTP client: {e}"))?;
        Ok(Self { client, known: Mutex::default() })
    }

    /// Fails when robots.txt forbids `url`, or cannot be read because the site is down.
    pub(super) async fn allow(&self, step: Step, url: &Url) -> Result<(), StepError> {
        let began = Instant::now();
        let error =
            |fault, why: &str| StepError::new(step, fault, why).at(url.as_str()).after(began.elapsed());
        match self.rules(url).await {
            Ok(Rules::All) => Ok(()),
            Ok(Rules::Some(robot)) if robot.allowed(url.as_str()) => Ok(()),
            Ok(Rules::Some(_)) => {
                Err(error(Fault::Forbidden, "robots.txt forbids it (see politeness.robotsTxt)"))
            }
            Err(why) => Err(error(Fault::SiteUnreachable, &format!("robots.txt cannot be read: {why}"))),
        }
    }

    async fn rules(&self, url: &Url) -> Result<Rules, String> {
        let origin = url.origin().ascii_serialization();
        let mut known = self.known.lock().await;
        if let Some(Known { at, rules }) = known.get(&origin)
            && at.elapsed() < if rules.is_ok() { FRESH } else { FAILED }
        {
            return rules.clone();
        }
        let fetched = within(FETCH, "robots.txt", self.fetch(&origin)).await;
        let rules = fetched.unwrap_or_else(|late| Err(late.to_string()));
        if known.len() >= MOST_ORIGINS {
            known.clear();
        }
        known.insert(origin, Known { at: Instant::now(), rules: rules.clone() });
        rules
    }

    async fn fetch(&self, origin: &str) -> Result<Rules, String> {
        let mut response =
            self.client.get(format!("{origin}/robots.txt")).send().await.map_err(|e| deepest(&e))?;
        let status = response.status();
        if status.is_client_error() {
            return Ok(Rules::All);
        }
        if !status.is_success() {
            return Err(format!("HTTP {}", status.as_u16()));
        }
        let mut text = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|e| deepest(&e))? {
            text.extend_from_slice(&part[..part.len().min(MOST_READ - text.len())]);
            if text.len() == MOST_READ {
                break;
            }
        }
        // What cannot be parsed forbids nothing (RFC 9309, 2.3.1.5: as much as possible is read).
        Ok(Robot::new(TOKEN, &text).map_or(Rules::All, |robot| Rules::Some(Arc::new(robot))))
    }
}

fn deepest(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
