//! What can go wrong in a browser, and at which layer.

use std::{fmt, time::Duration};

/// The step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Starting Chrome and its driver.
    Launch,
    /// Loading a page.
    Load,
    /// Opening an item.
    Open,
    /// Looking at open items.
    Probe,
    /// Taking an artifact.
    Take,
    /// Leaving an item.
    Leave,
    /// Refreshing the list.
    Refresh,
    /// The proof of life.
    RoundTrip,
}

/// The class of what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No answer within the deadline.
    Timeout,
    /// What a selector should find is not there.
    NotFound,
    /// A script of the recipe failed.
    Script,
    /// The page's renderer died.
    PageCrashed,
    /// The tab is gone.
    TabClosed,
    /// The session or the driver is gone.
    BrowserGone,
    /// The site does not answer, or answers 5xx.
    SiteUnreachable,
    /// The site shows a login wall, a ban or an overload page.
    SiteRefuses,
    /// Chrome or its driver cannot be started.
    CannotStart,
    /// The site answered with something the recipe cannot use.
    Unusable,
}

/// What must be thrown away because of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// The item only.
    Item,
    /// The whole browser.
    Browser,
    /// Nothing of ours: the site is at fault.
    Site,
}

/// A step that failed: which, where, what was looked for and how long it took.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct StepError {
    /// The step.
    pub step: Step,
    /// The class of fault.
    pub fault: Fault,
    /// What was looked for.
    pub selector: Option<String>,
    /// The page it was looked for in.
    pub url: String,
    /// How long it took.
    pub elapsed: Duration,
    /// What the browser said; bounded.
    pub message: String,
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} failed ({:?}) after {:.1?}", self.step, self.fault, self.elapsed)?;
        if let Some(selector) = &self.selector {
            write!(f, ", selector `{selector}`")?;
        }
        write!(f, ", at {}: {}", self.url, self.message)
    }
}
