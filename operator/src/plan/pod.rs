//! A pod as the plan sees it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Exit, Share};
use crate::{Observed, observe::shown};

/// A report older than this says nothing any more.
pub(super) const REPORT_FRESH: SignedDuration = SignedDuration::from_secs(10);

/// A node that has not prepared a pod for this long is worth a word.
const SLOW: SignedDuration = SignedDuration::from_secs(30);

/// Which of a fleet's pods a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// One that takes and holds items.
    Bot,
    /// One that watches the site's list.
    Watcher,
}

/// A pod as the plan sees it.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and all combinations occur")]
pub struct ObservedPod {
    /// Its name.
    pub name: String,
    /// Its uid: names come again, uids do not.
    pub uid: String,
    /// What it is for.
    pub role: Role,
    /// Its number within its role.
    pub slot: u32,
    /// What it was made of; see [`super::Revisions`].
    pub revision: String,
    /// How far it has come.
    pub stage: Stage,
    /// When it came as far, as its conditions say.
    pub since: Option<Timestamp>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it is to be left alone for a person to look at.
    pub fenced: bool,
    /// Ends in a row that its slot had before it.
    pub failures: u32,
    /// Whether it was made to find out if the site is back.
    pub probes_site: bool,
    /// The politeness share it was dealt.
    pub share: Option<Share>,
    /// The node it is on, once it has one.
    pub node: Option<String>,
    /// Whether Kubernetes says that its node does not answer any more.
    pub node_gone: bool,
    /// What keeps it from starting, where Kubernetes says so.
    pub obstacle: Option<Obstacle>,
    /// Since when it has not answered, though it was asked again and again.
    pub silent_since: Option<Timestamp>,
    /// What it said of itself when it last answered, however long ago that was; none: it never has.
    pub last_said: Option<Report>,
    /// What it says of itself.
    pub report: Observed<Report>,
}

/// What keeps a pod from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// Of which kind it is.
    pub kind: Hindrance,
    /// What Kubernetes says of it, on one line.
    pub said: String,
}

/// The kinds of obstacles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hindrance {
    /// No node has room for it.
    NoNode,
    /// An image cannot be had.
    Image,
    /// A container cannot be made or run: a key of a Secret is missing, or it ends as soon as it starts.
    Container,
    /// Its node has not prepared what it needs: its volumes, its network. Usual for the first seconds.
    Volume,
}

/// How far a pod has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It waits for a node, an image or a volume.
    Pending,
    /// Its program runs and is not ready.
    Starting,
    /// It is ready.
    Ready,
    /// It has ended.
    Ended(Exit),
}

/// What a bot or a watcher says of itself at `/status`. Fields that are not known are skipped, those that are missing
/// have their defaults: the pod may be of another version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// What it is doing.
    pub state: ReportedState,
    /// The last thing that went wrong, as the pod says it: hostile text.
    pub last_reason: Option<String>,
    /// How many items it holds.
    #[serde(rename = "holds", deserialize_with = "count")]
    pub held: u32,
    /// What a bot has done since it started.
    pub totals: Totals,
    /// A bot's browsers.
    pub browser: Browser,
    /// A watcher: whether it is the active one.
    pub active: bool,
    /// A watcher: times the list may have moved on unseen.
    pub gaps: u64,
    /// A watcher: what its list does not show although it should.
    pub waiting: Option<Awaited>,
}

/// What a watcher's list does not show, long before it is given up for that. Hostile text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Awaited {
    /// The field of the recipe that says what is waited for: `list.item`.
    pub field: String,
    /// What is looked for.
    pub selector: String,
    /// The page it is looked for in.
    pub url: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// What a bot has done since it started, as far as it matters here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Totals {
    /// Artifacts that it stored.
    pub stored: u64,
}

/// What a bot says of its browsers, as far as it matters here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Browser {
    /// How many it has thrown away since it started.
    pub abandoned: u64,
}

/// What a bot or a watcher says it is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReportedState {
    /// A bot or a watcher starts.
    Starting,
    /// A bot works.
    Working,
    /// A bot rebuilds its browser.
    Rebuilding,
    /// A bot opens nothing: the site is at fault.
    SiteUnavailable,
    /// A bot takes nothing more.
    Draining,
    /// A watcher stands by.
    Standby,
    /// A watcher watches.
    Watching,
    /// A watcher's list does not answer.
    Repairing,
    /// The queue does not answer.
    QueueUnreachable,
    /// The store does not answer.
    StoreUnreachable,
    /// It has ended.
    Ended,
    /// Something that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl ReportedState {
    /// Whether a pod in this state is ready, as long as it answers.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        match self {
            Self::Working | Self::Draining | Self::Standby | Self::Watching => true,
            Self::Starting
            | Self::Rebuilding
            | Self::SiteUnavailable
            | Self::Repairing
            | Self::QueueUnreachable
            | Self::StoreUnreachable
            | Self::Ended
            | Self::Unknown => false,
        }
    }
}

impl Report {
    /// What it says, for people: bounded and on one line.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { state, held, last_reason, .. } = self;
        let why = last_reason.as_deref().map(|why| format!(", trouble before: {}", shown(why)));
        format!("{state:?}, {held} items held{}", why.unwrap_or_default())
    }
}

/// A bot's status lists its holds; only their number matters here.
fn count<'de, D: serde::Deserializer<'de>>(list: D) -> Result<u32, D::Error> {
    let held = Vec::<serde::de::IgnoredAny>::deserialize(list)?;
    Ok(u32::try_from(held.len()).unwrap_or(u32::MAX))
}

impl ObservedPod {
    /// How it ended, if it has.
    #[must_use]
    pub const fn exit(&self) -> Option<&Exit> {
        match &self.stage {
            Stage::Ended(exit) => Some(exit),
            _ => None,
        }
    }

    /// What keeps it from starting, once that is worth a word.
    #[must_use]
    pub fn hindered(&self, now: Timestamp) -> Option<&Obstacle> {
        let slow = || self.since.is_some_and(|since| now.duration_since(since) > SLOW);
        self.obstacle.as_ref().filter(|obstacle| obstacle.kind != Hindrance::Volume || slow())
    }

    /// Whether it counts as capacity: it is there, or on its way, to stay.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        !self.fenced && !self.terminating && self.exit().is_none()
    }

    /// Whether it is live and ready.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.is_live() && self.stage == Stage::Ready
    }

    /// Whether it is on its way out and still there: as long as it says so itself.
    #[must_use]
    pub fn is_draining(&self, now: Timestamp) -> bool {
        self.terminating && !self.fenced && self.exit().is_none() && self.fresh_report(now).is_some()
    }

    /// Whether it may still ask something of the site. One that is fenced goes on with what it does: it is no bot that is
    /// counted on, and yet one that the site sees.
    #[must_use]
    pub fn asks(&self, now: Timestamp) -> bool {
        let goes_on = !self.terminating || self.fresh_report(now).is_some();
        self.exit().is_none() && goes_on
    }

    /// What it says of itself, unless that is long ago.
    #[must_use]
    pub fn fresh_report(&self, now: Timestamp) -> Option<&Report> {
        self.report.fresh(now, REPORT_FRESH)
    }

    /// How much would be disturbed by ending it: nothing while it has not been ready, what it says once it has, and
    /// more than anything when it does not say.
    #[must_use]
    pub fn burden(&self, now: Timestamp) -> u32 {
        match (self.fresh_report(now), &self.stage) {
            (Some(report), _) => report.held.max(u32::from(report.active)),
            (None, Stage::Ready) => u32::MAX,
            (None, _) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bots_status_is_read() {
        let report: Report = serde_json::from_str(
            r#"{ "slot": 3, "state": "working", "lastReason": null, "capacity": 20, "exit": null,
                 "holds": [{ "item": "a" }, { "item": "b" }], "browser": { "abandoned": 3, "memoryMib": null },
                 "totals": { "stored": 7, "gone": 1, "holdSecondsMedian": 2.5 } }"#,
        )
        .unwrap();
        assert_eq!((report.state, report.held, report.totals.stored), (ReportedState::Working, 2, 7));
        assert_eq!(report.browser.abandoned, 3);
    }

    #[test]
    fn a_watchers_status_is_read() {
        let report: Report = serde_json::from_str(
            r#"{ "state": "watching", "active": true, "discovered": 9, "gaps": 2, "refreshedAt": null }"#,
        )
        .unwrap();
        assert_eq!((report.state, report.active, report.gaps), (ReportedState::Watching, true, 2));
        assert_eq!(report.waiting, None);
        let report: Report = serde_json::from_str(
            r#"{ "state": "starting", "waiting": { "step": "Refresh", "field": "list.item", "selector": "a.x",
                 "url": "http://site.test/", "since": "2026-01-01T00:00:00.123456789Z" } }"#,
        )
        .unwrap();
        let waiting = report.waiting.unwrap();
        assert_eq!((waiting.field.as_str(), waiting.selector.as_str()), ("list.item", "a.x"));
        assert_eq!((waiting.url.as_str(), waiting.since.is_some()), ("http://site.test/", true));
    }

    #[test]
    fn a_report_is_told_on_one_line() {
        let said = Report { state: ReportedState::Rebuilding, held: 3, ..Report::default() };
        assert_eq!(said.words(), "Rebuilding, 3 items held");
        let said = Report { last_reason: Some(format!("no\u{1b}\n{}", "x".repeat(5_000))), ..said };
        assert!(
            said.words().starts_with("Rebuilding, 3 items held, trouble before: no\\u001b\\n"),
            "{}",
            said.words()
        );
        assert!(said.words().len() < 600);
    }

    #[test]
    fn a_status_of_another_version_is_read() {
        let report: Report = serde_json::from_str(r#"{ "state": "meditating", "mood": "good" }"#).unwrap();
        assert_eq!(report, Report::default());
    }
}
