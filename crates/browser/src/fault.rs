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
    /// robots.txt forbids it.
    Forbidden,
    /// The fleet's own politeness leaves no room for another page load for a long time.
    OverBudget,
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
///
/// Make one with [`StepError::new`] and the methods that add to it.
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
    /// What the browser said; bounded, control characters escaped.
    pub message: String,
    /// Whether it happened in a tab of the item's own while the rest of the browser answered: only that item is lost.
    pub alone: bool,
}

/// The longest message, selector or URL kept in an error, in characters.
pub(crate) const LONGEST_TEXT: usize = 600;

impl StepError {
    /// A failure of `step`; the message is cut and its control characters escaped, since it may come from a page.
    #[must_use]
    pub fn new(step: Step, fault: Fault, message: &str) -> Self {
        Self {
            step,
            fault,
            selector: None,
            url: String::new(),
            elapsed: Duration::ZERO,
            message: printable(message, LONGEST_TEXT),
            alone: false,
        }
    }

    /// Names what was looked for.
    #[must_use]
    pub fn selector(mut self, selector: &str) -> Self {
        self.selector = Some(printable(selector, LONGEST_TEXT));
        self
    }

    /// Names the page.
    #[must_use]
    pub fn at(mut self, url: &str) -> Self {
        self.url = printable(url, LONGEST_TEXT);
        self
    }

    /// Says how long it took.
    #[must_use]
    pub fn after(mut self, elapsed: Duration) -> Self {
        self.elapsed = elapsed;
        self
    }

    /// Says that it happened in a tab of the item's own while the rest of the browser answered.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// What must be thrown away because of it.
    #[must_use]
    pub fn layer(&self) -> Layer {
        match self.fault {
            Fault::SiteUnreachable | Fault::SiteRefuses | Fault::OverBudget => Layer::Site,
            Fault::Timeout | Fault::PageCrashed | Fault::TabClosed if self.alone => Layer::Item,
            Fault::Timeout
            | Fault::PageCrashed
            | Fault::TabClosed
            | Fault::BrowserGone
            | Fault::CannotStart => Layer::Browser,
            Fault::NotFound | Fault::Script | Fault::Unusable | Fault::Forbidden => {
                self.step.layer_of_surprise()
            }
        }
    }
}

impl Fault {
    /// Whether a page answered, only not as was expected: it can be asked for more. Any other may hang.
    #[must_use]
    pub fn is_an_answer(self) -> bool {
        match self {
            Self::Timeout | Self::PageCrashed | Self::TabClosed | Self::BrowserGone | Self::CannotStart => {
                false
            }
            Self::NotFound
            | Self::Script
            | Self::SiteUnreachable
            | Self::SiteRefuses
            | Self::Unusable
            | Self::Forbidden
            | Self::OverBudget => true,
        }
    }
}

impl Step {
    /// Where the blame lies when the page answered, but not with what the recipe expects: a page that all items
    /// share (or the list) is the site's, a new Chrome would see the same.
    fn layer_of_surprise(self) -> Layer {
        match self {
            Self::Load | Self::Refresh | Self::Launch | Self::RoundTrip => Layer::Site,
            Self::Open | Self::Probe | Self::Take | Self::Leave => Layer::Item,
        }
    }
}

/// `text` cut to `longest` characters, control characters escaped: what a page says may end in a terminal.
pub(crate) fn printable(text: &str, longest: usize) -> String {
    let mut out = String::with_capacity(text.len().min(longest));
    for (n, c) in text.trim().chars().enumerate() {
        if n == longest {
            out.push('…');
            break;
        }
        if is_unprintable(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// Control characters, and those that turn the direction of text around.
fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} failed ({:?}) after {:.1?}", self.step, self.fault, self.elapsed)?;
        if let Some(selector) = &self.selector {
            write!(f, ", selector `{selector}`")?;
        }
        if !self.url.is_empty() {
            write!(f, ", at {}", self.url)?;
        }
        write!(f, ": {}", self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_the_layer_that_must_be_thrown_away() {
        use {Fault as F, Layer as L, Step as S};
        for (step, fault, alone, layer) in [
            (S::Probe, F::Timeout, false, L::Browser),
            (S::Probe, F::Timeout, true, L::Item),
            (S::Open, F::PageCrashed, false, L::Browser),
            (S::Open, F::PageCrashed, true, L::Item),
            (S::Take, F::TabClosed, false, L::Browser),
            (S::Take, F::TabClosed, true, L::Item),
            (S::Open, F::BrowserGone, true, L::Browser),
            (S::Launch, F::CannotStart, false, L::Browser),
            (S::Load, F::SiteUnreachable, false, L::Site),
            (S::Open, F::SiteUnreachable, true, L::Site),
            (S::Open, F::SiteRefuses, false, L::Site),
            (S::Open, F::NotFound, false, L::Item),
            (S::Take, F::NotFound, false, L::Item),
            (S::Take, F::Unusable, false, L::Item),
            (S::Leave, F::Script, false, L::Item),
            (S::Load, F::NotFound, false, L::Site),
            (S::Refresh, F::NotFound, false, L::Site),
            (S::Refresh, F::Script, false, L::Site),
            (S::Open, F::Forbidden, false, L::Item),
            (S::Load, F::Forbidden, false, L::Site),
            (S::Open, F::OverBudget, false, L::Site),
        ] {
            let mut error = StepError::new(step, fault, "");
            error.alone = alone;
            assert_eq!(error.layer(), layer, "{step:?} {fault:?} alone={alone}");
        }
    }

    #[test]
    fn an_error_names_step_selector_page_and_how_long() {
        let error = StepError::new(Step::Open, Fault::NotFound, "not there")
            .selector("#room-7")
            .at("http://site/")
            .after(Duration::from_millis(1500));
        assert_eq!(
            error.to_string(),
            "Open failed (NotFound) after 1.5s, selector `#room-7`, at http://site/: not there"
        );
    }

    #[test]
    fn what_a_page_says_cannot_steer_a_terminal_or_fill_a_log() {
        assert_eq!(printable("a\u{1b}[2J\u{202e}b\n", 80), "a\\u{1b}[2J\\u{202e}b");
        assert_eq!(printable("äöü", 2), "äö…");
        let long = StepError::new(Step::Open, Fault::Script, &"x".repeat(10_000));
        assert_eq!(long.message.chars().count(), LONGEST_TEXT + 1);
    }
}
