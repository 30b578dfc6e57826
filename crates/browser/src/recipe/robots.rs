//! robots.txt: what a site lets robots open.

use std::{collections::BTreeMap, io::Read as _, sync::Arc, time::Duration};

use scrapefleet_policy::{Instant, within};
use texting_robots::Robot;
use tokio::sync::Mutex;
use ureq::Agent;
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
const MOST_READ: u64 = 500 << 10;

/// The most origins whose rules are kept: those of list, page and items.
const MOST_ORIGINS: usize = 8;

/// The rules of a site's origins, fetched when they are first needed.
#[derive(Debug)]
pub(super) struct Robots {
    agent: Agent,
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
    pub(super) fn new() -> Self {
        let config = Agent::config_builder()
            .user_agent(format!("{TOKEN}/{}", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(FETCH))
            .http_status_as_error(false)
            // More of them are taken as "there is none" (RFC 9309, 2.3.1.2).
            .max_redirects(5)
            .max_redirects_will_error(false)
            .build();
        Self { agent: config.into(), known: Mutex::default() }
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
        let (agent, from) = (self.agent.clone(), format!("{origin}/robots.txt"));
        let fetched = tokio::task::spawn_blocking(move || fetch(&agent, &from));
        let rules = match within(FETCH * 2, "robots.txt", fetched).await {
            Ok(Ok(rules)) => rules,
            Ok(Err(stopped)) => Err(stopped.to_string()),
            Err(late) => Err(late.to_string()),
        };
        if known.len() >= MOST_ORIGINS {
            known.clear();
        }
        known.insert(origin, Known { at: Instant::now(), rules: rules.clone() });
        rules
    }
}

fn fetch(agent: &Agent, from: &str) -> Result<Rules, String> {
    let mut response = agent.get(from).call().map_err(|e| e.to_string())?;
    let status = response.status();
    if status.is_server_error() {
        return Err(format!("HTTP {}", status.as_u16()));
    }
    if !status.is_success() {
        return Ok(Rules::All);
    }
    let mut text = Vec::new();
    response.body_mut().as_reader().take(MOST_READ).read_to_end(&mut text).map_err(|e| e.to_string())?;
    // What cannot be parsed forbids nothing (RFC 9309, 2.3.1.5: as much as possible is read).
    Ok(Robot::new(TOKEN, &text).map_or(Rules::All, |robot| Rules::Some(Arc::new(robot))))
}
