//! What every pod of a fleet said of itself, moment by moment.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::Deserialize;

/// All pods there were, by uid.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The pods.
    pub pods: BTreeMap<String, PodRecord>,
}

/// One pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodRecord {
    /// Its name.
    pub name: String,
    /// `bot` or `watcher`.
    pub role: String,
    /// The node it runs on, once it is known.
    pub node: Option<String>,
    /// When it was first seen.
    pub from: Timestamp,
    /// When it was first seen to have ended, to be on its way out, or to be gone.
    pub ended: Option<Timestamp>,
    /// What it said, in order.
    pub looks: Vec<Look>,
}

/// What a pod said at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// When.
    pub at: Timestamp,
    /// What; none: it did not answer. Shared, so that a copy of a long record is cheap.
    pub said: Option<Arc<Said>>,
}

/// What a pod says of itself at `/status`, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Said {
    /// What it is doing.
    pub state: String,
    /// A bot's items.
    pub holds: Vec<Hold>,
    /// A bot's browser.
    pub browser: Browser,
    /// Whether a watcher is the active one.
    pub active: bool,
    /// A watcher: times that the list may have moved on unseen.
    pub gaps: u64,
}

/// One held item.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Hold {
    /// Its id.
    pub item: String,
    /// Where it is on its way.
    pub step: String,
    /// Whole seconds since it last moved.
    #[serde(rename = "stillSeconds")]
    pub still: i64,
}

/// A bot's browser.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Browser {
    /// How many were thrown away before.
    pub abandoned: u64,
}

impl Hold {
    /// Whether the item is in a browser, or was until its end.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.step != "waiting"
    }
}

impl Said {
    /// A bot that has a browser and uses it.
    #[must_use]
    pub fn works(&self) -> bool {
        self.state == "working"
    }

    /// A watcher that has the list open, active or not.
    #[must_use]
    pub fn sees_the_list(&self) -> bool {
        matches!(self.state.as_str(), "watching" | "standby")
    }

    /// Items in its browser.
    pub fn open(&self) -> impl Iterator<Item = &str> {
        self.holds.iter().filter(|hold| hold.is_open()).map(|hold| hold.item.as_str())
    }
}

impl PodRecord {
    /// What it said last, if it answered then.
    #[must_use]
    pub fn last(&self) -> Option<&Said> {
        self.looks.last().and_then(|look| look.said.as_deref())
    }

    /// What it had said last before a moment.
    #[must_use]
    pub fn before(&self, at: Timestamp) -> Option<&Said> {
        let end = self.looks.partition_point(|look| look.at < at);
        self.looks[..end].iter().rev().find_map(|look| look.said.as_deref())
    }

    /// What it said, with the time, from a moment on.
    pub fn since(&self, from: Timestamp) -> impl Iterator<Item = (Timestamp, &Said)> {
        let start = self.looks.partition_point(|look| look.at < from);
        self.looks[start..].iter().filter_map(|look| Some((look.at, look.said.as_deref()?)))
    }

    /// What it had said last at a moment, when it had answered within two seconds before.
    #[must_use]
    pub fn said_at(&self, at: Timestamp) -> Option<&Said> {
        let end = self.looks.partition_point(|look| look.at <= at);
        let look = self.looks[..end].last()?;
        (at.duration_since(look.at).as_secs() < 2).then_some(look.said.as_deref()?)
    }

    /// How many browsers it has thrown away since a moment, as far as it said.
    #[must_use]
    pub fn abandoned_since(&self, from: Timestamp) -> u64 {
        let mut counts = self.since(from).map(|(_, said)| said.browser.abandoned);
        let first = counts.next().unwrap_or_default();
        counts.last().map_or(0, |last| last.saturating_sub(first))
    }

    /// Whether it is a bot.
    #[must_use]
    pub fn is_bot(&self) -> bool {
        self.role == "bot"
    }

    /// Whether it was there, to stay, at a moment.
    #[must_use]
    pub fn is_live_at(&self, at: Timestamp) -> bool {
        self.from <= at && self.ended.is_none_or(|ended| ended > at)
    }
}

impl History {
    /// Pods of a role that are there now, to stay.
    pub fn live<'a>(&'a self, role: &'a str) -> impl Iterator<Item = (&'a String, &'a PodRecord)> {
        self.pods.iter().filter(move |(_, pod)| pod.role == role && pod.ended.is_none())
    }

    /// Moments at which something was said, from one on, in order and each once.
    #[must_use]
    pub fn moments(&self, from: Timestamp) -> Vec<Timestamp> {
        let mut moments: Vec<_> =
            self.pods.values().flat_map(|pod| pod.since(from).map(|(at, _)| at)).collect();
        moments.sort_unstable();
        moments.dedup();
        moments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_whoever_it_is_of() {
        let bot: Said = serde_json::from_str(
            r#"{ "slot": 1, "state": "working", "holds": [{ "item": "a", "step": "open", "stillSeconds": 3 },
                 { "item": "b", "step": "waiting", "stillSeconds": 0 }], "browser": { "abandoned": 2, "memoryMib": null } }"#,
        )
        .unwrap();
        assert!(bot.works() && bot.browser.abandoned == 2);
        assert_eq!(bot.open().collect::<Vec<_>>(), ["a"]);
        let watcher: Said =
            serde_json::from_str(r#"{ "state": "watching", "active": true, "gaps": 1 }"#).unwrap();
        assert!(watcher.active && watcher.gaps == 1 && !watcher.works());
    }

    #[test]
    fn an_answer_is_believed_for_two_seconds() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let looks = vec![Look { at: at(10), said: Some(Arc::default()) }, Look { at: at(20), said: None }];
        let pod =
            PodRecord { name: "p".into(), role: "bot".into(), node: None, from: at(1), ended: None, looks };
        assert!(pod.said_at(at(9)).is_none() && pod.said_at(at(11)).is_some());
        assert!(pod.said_at(at(12)).is_none() && pod.said_at(at(20)).is_none());
        assert_eq!(pod.since(at(10)).count(), 1);
        assert_eq!(pod.since(at(11)).count(), 0);
        assert!(pod.before(at(10)).is_none() && pod.before(at(30)).is_some());
    }

    #[test]
    fn browsers_thrown_away_lately_are_counted_from_what_was_said() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let look = |(second, abandoned)| {
            let said = Said { browser: Browser { abandoned }, ..Said::default() };
            Look { at: at(second), said: Some(Arc::new(said)) }
        };
        let looks = [(1, 0), (10, 2), (20, 2), (30, 3), (40, 5)].map(look).to_vec();
        let pod =
            PodRecord { name: "p".into(), role: "bot".into(), node: None, from: at(1), ended: None, looks };
        assert_eq!([0, 10, 25, 40, 50].map(|from| pod.abandoned_since(at(from))), [5, 3, 2, 0, 0]);
    }
}
