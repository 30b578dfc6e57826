//! What is so and what is not, and what a person should do about it.

mod degraded;
mod progressing;
mod ready;
mod scaling;
mod services;
mod site;
mod unseen;
mod voices;

use super::{Reason, View};

/// The types of all conditions, in the order they are written.
pub const CONDITIONS: [&str; 7] =
    ["Ready", "Progressing", "Degraded", "QueueReachable", "StoreReachable", "SiteAvailable", "ScalingHeld"];

/// Something that is so or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it speaks of.
    pub type_: &'static str,
    /// Whether it is so.
    pub verdict: Verdict,
    /// Why, in a word.
    pub reason: Reason,
    /// Why, and what to do.
    pub message: String,
}

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    True,
    /// It is not.
    False,
    /// It is not known.
    Unknown,
}

impl Verdict {
    /// As it stands in a condition.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

use Verdict::{False, True};

/// All conditions, in the order of [`CONDITIONS`].
pub(super) fn findings(view: &View) -> Vec<Finding> {
    let (queue, store) = (services::queue(view), services::store(view));
    let ready = ready::ready(view, [&queue, &store]);
    let degraded = degraded::degraded(view, [&queue, &store]);
    let (progressing, site, scaling) =
        (progressing::progressing(view), site::site(view), scaling::scaling(view));
    vec![ready, progressing, degraded, queue, store, site, scaling]
}

/// The message that matters most.
pub(super) fn headline(findings: &[Finding]) -> String {
    let of = |type_: &str| findings.iter().find(|finding| finding.type_ == type_);
    let wrong = [
        ("Ready", False, true),
        ("QueueReachable", False, false),
        ("StoreReachable", False, false),
        ("SiteAvailable", False, false),
        ("Degraded", True, false),
        ("ScalingHeld", True, false),
        ("Progressing", True, false),
    ];
    // That too few bots are ready is a consequence: what it comes from is said rather.
    let consequence = |finding: &&Finding| matches!(finding.reason, Reason::TooFewBots | Reason::NoWatcher);
    let found = |plain: bool| {
        wrong
            .iter()
            .filter_map(move |(type_, verdict, _)| of(type_).filter(|f| f.verdict == *verdict))
            .find(move |finding| !plain || !consequence(finding))
    };
    let said = found(true).or_else(|| found(false)).or_else(|| of("Ready"));
    super::bounded(said.map_or("", |finding| finding.message.as_str()))
}

fn finding(type_: &'static str, verdict: Verdict, reason: Reason, message: impl Into<String>) -> Finding {
    Finding { type_, verdict, reason, message: message.into() }
}
