//! The ledger: every item that was ever discovered is accounted for, item by item.
//!
//! `discovered = ready + delayed + held + stored + dead + gone`. It is computed from the journal, the queue and
//! the store alone; no counter is trusted. An item whose artifact is stored while its task still waits (the
//! process died between the two) counts as stored: the task is acknowledged when it is next claimed.

use std::collections::{BTreeMap, BTreeSet};

use scrapefleet_api::ItemId;
use scrapefleet_queue::TaskState;
use scrapefleet_store::Key;
use serde::Serialize;

/// What was found in the journal, the queue and the store.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Items in the journal.
    pub discovered: BTreeSet<ItemId>,
    /// Unfinished tasks.
    pub pending: BTreeMap<ItemId, TaskState>,
    /// Items with a dead letter.
    pub dead: BTreeSet<ItemId>,
    /// Artifacts, by the item they were taken from.
    pub stored: BTreeMap<ItemId, Vec<Key>>,
    /// Items with a record that their dead letter was purged.
    pub purged: BTreeSet<ItemId>,
    /// Items with a record that they are gone.
    pub gone: BTreeSet<ItemId>,
    /// What could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unreadable {
    /// Which object, entry or letter.
    pub what: String,
    /// Why.
    pub why: String,
}

/// An item with more than one artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Doubled {
    /// The item.
    pub item: ItemId,
    /// Its artifacts.
    pub keys: Vec<Key>,
}

/// Where every item is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Items in the journal.
    pub discovered: usize,
    /// Waiting to be taken.
    pub ready: usize,
    /// Waiting for their delay to pass.
    pub delayed: usize,
    /// Held by a bot.
    pub held: usize,
    /// With an artifact.
    pub stored: usize,
    /// Given up, with a dead letter or a record of a purged one.
    pub dead: usize,
    /// Of those, the ones whose dead letter was purged.
    pub purged: usize,
    /// Recorded as gone.
    pub gone: usize,
    /// Discovered, and nowhere now: lost.
    pub missing: Vec<ItemId>,
    /// With more than one artifact.
    pub doubled: Vec<Doubled>,
    /// What could not be read.
    pub unreadable: Vec<Unreadable>,
    /// With an artifact or a task but not in the journal.
    pub unknown: Vec<ItemId>,
}

impl Ledger {
    /// Accounts for everything in `findings`.
    #[must_use]
    pub fn of(findings: Findings) -> Self {
        let mut ledger = Self { discovered: findings.discovered.len(), ..Self::default() };
        for item in &findings.discovered {
            match findings.whereabouts(item) {
                Some(place) => {
                    *ledger.count_of(&place) += 1;
                    let purged = matches!(place, Place::Dead) && !findings.dead.contains(item);
                    ledger.purged += usize::from(purged);
                }
                None => ledger.missing.push(item.clone()),
            }
        }
        ledger.unknown = findings.undiscovered();
        ledger.doubled = findings
            .stored
            .into_iter()
            .filter(|(_, keys)| keys.len() > 1)
            .map(|(item, keys)| Doubled { item, keys })
            .collect();
        ledger.unreadable = findings.unreadable;
        ledger
    }

    /// Whether every discovered item is in exactly one place and everything can be read.
    #[must_use]
    pub fn balances(&self) -> bool {
        let accounted = self.ready + self.delayed + self.held + self.stored + self.dead + self.gone;
        self.discovered == accounted
            && self.missing.is_empty()
            && self.doubled.is_empty()
            && self.unreadable.is_empty()
            && self.unknown.is_empty()
    }

    fn count_of(&mut self, place: &Place) -> &mut usize {
        match place {
            Place::Stored => &mut self.stored,
            Place::Gone => &mut self.gone,
            Place::Dead => &mut self.dead,
            Place::Pending(TaskState::Ready) => &mut self.ready,
            Place::Pending(TaskState::Held) => &mut self.held,
            Place::Pending(TaskState::Delayed) => &mut self.delayed,
        }
    }
}

enum Place {
    Stored,
    Gone,
    Dead,
    Pending(TaskState),
}

impl Findings {
    /// The one place that counts for `item`: what is durable and final before what is not.
    fn whereabouts(&self, item: &ItemId) -> Option<Place> {
        if self.stored.contains_key(item) {
            return Some(Place::Stored);
        }
        if let Some(state) = self.pending.get(item) {
            // A replayed dead letter, or a gone item that came back: it is being worked on.
            return Some(Place::Pending(*state));
        }
        if self.gone.contains(item) {
            return Some(Place::Gone);
        }
        (self.dead.contains(item) || self.purged.contains(item)).then_some(Place::Dead)
    }

    fn undiscovered(&self) -> Vec<ItemId> {
        let all = self
            .stored
            .keys()
            .chain(self.pending.keys())
            .chain(&self.dead)
            .chain(&self.purged)
            .chain(&self.gone);
        let unknown: BTreeSet<_> = all.filter(|item| !self.discovered.contains(item)).collect();
        unknown.into_iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ItemId {
        ItemId::new(text).unwrap()
    }

    fn key(text: &str) -> Key {
        Key::new(text).unwrap()
    }

    fn six() -> Findings {
        Findings {
            discovered: ["a", "b", "c", "d", "e", "f"].map(id).into(),
            pending: [(id("a"), TaskState::Ready), (id("b"), TaskState::Held), (id("c"), TaskState::Delayed)]
                .into(),
            dead: [id("d")].into(),
            stored: [(id("e"), vec![key("e")])].into(),
            gone: [id("f")].into(),
            purged: BTreeSet::new(),
            unreadable: Vec::new(),
        }
    }

    #[test]
    fn one_of_each_balances() {
        let ledger = Ledger::of(six());
        let Ledger { ready, held, delayed, stored, dead, gone, .. } = ledger;
        assert_eq!((ready, held, delayed, stored, dead, gone), (1, 1, 1, 1, 1, 1));
        assert!(ledger.balances());
    }

    #[test]
    fn a_lost_item_is_named() {
        let mut findings = six();
        findings.stored.clear();
        let ledger = Ledger::of(findings);
        assert_eq!(ledger.missing, [id("e")]);
        assert!(!ledger.balances());
    }

    #[test]
    fn a_doubled_item_is_named_with_its_keys() {
        let mut findings = six();
        findings.stored.insert(id("e"), vec![key("e"), key("e2")]);
        let ledger = Ledger::of(findings);
        assert_eq!(ledger.doubled, [Doubled { item: id("e"), keys: vec![key("e"), key("e2")] }]);
        assert!(!ledger.balances());
    }

    #[test]
    fn what_cannot_be_read_keeps_it_from_balancing() {
        let mut findings = six();
        findings.unreadable.push(Unreadable { what: "e".to_owned(), why: "hash".to_owned() });
        assert!(!Ledger::of(findings).balances());
    }

    #[test]
    fn what_was_never_discovered_is_named() {
        let mut findings = six();
        findings.stored.insert(id("x"), vec![key("x")]);
        let ledger = Ledger::of(findings);
        assert_eq!(ledger.unknown, [id("x")]);
        assert!(!ledger.balances());
    }

    #[test]
    fn an_item_stored_but_not_acknowledged_counts_once_as_stored() {
        let mut findings = six();
        findings.pending.insert(id("e"), TaskState::Ready);
        let ledger = Ledger::of(findings);
        assert_eq!((ledger.stored, ledger.ready), (1, 1));
        assert!(ledger.balances());
    }

    #[test]
    fn a_purged_item_is_dead_unless_it_is_somewhere_else() {
        let mut findings = six();
        findings.dead.clear();
        findings.purged = ["a", "d", "e", "f"].map(id).into();
        let ledger = Ledger::of(findings.clone());
        let Ledger { ready, stored, dead, gone, purged, .. } = ledger;
        assert_eq!((ready, stored, dead, gone, purged), (1, 1, 1, 1, 1));
        assert!(ledger.balances());
        findings.purged.insert(id("x"));
        assert_eq!(Ledger::of(findings).unknown, [id("x")]);
    }

    #[test]
    fn a_replayed_dead_letter_counts_as_ready() {
        let mut findings = six();
        findings.pending.insert(id("d"), TaskState::Ready);
        assert_eq!(Ledger::of(findings).dead, 0);
    }
}
