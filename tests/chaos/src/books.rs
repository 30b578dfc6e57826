//! The books: every battle that the server logged, and where it is now.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use scrapefleet_cli::ledger::{Findings, Ledger};
use scrapefleet_e2e::Scene;
use scrapefleet_local_tests::truth;
use scrapefleet_store::Artifact;
use scrapefleet_test_site::GroundTruth;
use serde::Serialize;

use crate::effect::{Fault, Taken};

/// A window in which the list could not be seen reaches this much beyond the fault: the list has to be opened again.
const BLIND_AFTER: i64 = 20;

/// The longest that an artifact may be on its way to the store, and a battle undiscovered, through any fault.
const LONGEST_WAY: SignedDuration = SignedDuration::from_mins(5);

/// Where every battle is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Books {
    /// Public battles that the server logged while the fleet watched.
    pub battles: usize,
    /// Those whose artifact was compared with the server's log.
    pub compared: usize,
    /// Battles that are in the journal and nowhere now, and battles that were never discovered though they could be seen.
    pub lost: Vec<String>,
    /// Items with more than one artifact.
    pub duplicated: Vec<String>,
    /// Artifacts that differ from the server's log, and how.
    pub mismatched: BTreeMap<String, String>,
    /// Items with a dead letter, and what it says.
    pub dead: BTreeMap<String, String>,
    /// Items that the site had no more, with proof.
    pub gone: Vec<String>,
    /// Battles that began and ended while the site showed its list to nobody.
    pub unseen: Vec<String>,
    /// The ledger of `scrapefleet verify`.
    pub ledger: Ledger,
}

impl Books {
    /// Whether nothing is lost, doubled or different, and the ledger balances.
    #[must_use]
    pub fn balance(&self) -> bool {
        self.lost.is_empty()
            && self.duplicated.is_empty()
            && self.mismatched.is_empty()
            && self.ledger.balances()
    }
}

/// What was found at the end.
#[derive(Debug)]
pub struct Found {
    /// What the server logged.
    pub truth: Vec<GroundTruth>,
    /// What `scrapefleet verify` reads.
    pub findings: Findings,
    /// Every artifact, by item.
    pub stored: BTreeMap<String, Artifact>,
    /// When each artifact arrived in the bucket, by item, as the store has it.
    pub arrived: BTreeMap<String, Timestamp>,
    /// What each dead letter says, by item.
    pub letters: BTreeMap<String, String>,
}

impl Found {
    /// Reads everything, once the fleet has nothing to do any more.
    pub async fn read(scene: &Scene, truth: Vec<GroundTruth>) -> Result<Self> {
        let applied = scene.fleet.get().await?;
        let findings = scene.fleet.findings_of(&applied, &scene.backing).await?;
        let letters = scene.fleet.dead_letters(&applied, &scene.backing).await?;
        let said = letters.into_iter().map(|letter| {
            let item = letter.item.map_or_else(|| "(unreadable)".to_owned(), |item| item.to_string());
            (item, format!("{:?}: {}", letter.failure.reason, letter.failure.message))
        });
        let (stored, arrived) = (scene.artifacts().await?, scene.backing.arrivals().await?);
        Ok(Self { truth, findings, stored, arrived, letters: said.collect() })
    }

    /// When each item was discovered that has an artifact, and when that was taken.
    #[must_use]
    pub fn taken(&self) -> BTreeMap<String, Taken> {
        let begun: BTreeMap<&str, Timestamp> =
            self.truth.iter().filter_map(|battle| Some((battle.id.as_str(), begun(battle)?))).collect();
        let taken = |(item, artifact): (&String, &Artifact)| {
            let said = &artifact.metadata;
            let discovered = believed(said.discovered_at, begun.get(item.as_str()).copied());
            let at = believed(said.scraped_at, self.arrived.get(item).copied());
            (item.clone(), Taken { discovered, at })
        };
        self.stored.iter().map(taken).collect()
    }

    /// Accounts for every battle, after these faults.
    #[must_use]
    pub fn books(&self, faults: &[Fault]) -> Books {
        let ledger = Ledger::of(self.findings.clone());
        let names = |items: &BTreeSet<_>| items.iter().map(ToString::to_string).collect::<Vec<String>>();
        let mut books = Books {
            lost: ledger.missing.iter().map(ToString::to_string).collect(),
            duplicated: ledger.doubled.iter().map(|doubled| doubled.item.to_string()).collect(),
            dead: self.letters.clone(),
            gone: names(&self.findings.gone),
            ledger,
            ..Books::default()
        };
        for battle in self.truth.iter().filter(|battle| !battle.is_private()) {
            self.account(battle, faults, &mut books);
        }
        books
    }

    fn account(&self, battle: &GroundTruth, faults: &[Fault], books: &mut Books) {
        books.battles += 1;
        if self.stored.contains_key(&battle.id) {
            books.compared += 1;
            if let Err(difference) = truth::compare_all(&self.stored, std::slice::from_ref(battle)) {
                books.mismatched.insert(battle.id.clone(), format!("{difference:#}"));
            }
            return;
        }
        let known = self.findings.discovered.iter().any(|item| item.as_str() == battle.id);
        if known {
            // Where it is, the ledger says: dead, gone, or lost.
            return;
        }
        if faults.iter().any(|fault| hides(fault, battle)) {
            books.unseen.push(battle.id.clone());
        } else {
            books.lost.push(battle.id.clone());
        }
    }
}

/// When something was: as its pod says, unless that pod's clock cannot have been right beside what another has.
fn believed(said: Timestamp, known: Option<Timestamp>) -> Timestamp {
    known.filter(|known| known.duration_since(said).abs() > LONGEST_WAY).unwrap_or(said)
}

/// When a battle began, as the server has it.
fn begun(battle: &GroundTruth) -> Option<Timestamp> {
    span(&battle.log).and_then(|(begun, _)| Timestamp::from_second(begun).ok())
}

/// Whether a battle was on the list only while a fault kept everybody from seeing it.
fn hides(fault: &Fault, battle: &GroundTruth) -> bool {
    let Some((begun, ended)) = span(&battle.log) else { return false };
    let until = fault.end().as_second() + BLIND_AFTER;
    fault.scenario.blinds() && begun >= fault.at.as_second() && ended <= until
}

/// When a battle began and when it last moved, in seconds since 1970: the server writes `|t:|SECONDS` at each turn.
fn span(log: &[String]) -> Option<(i64, i64)> {
    let mut times = log.iter().filter_map(|line| line.strip_prefix("|t:|")?.parse().ok());
    let first = times.next()?;
    Some((first, times.next_back().unwrap_or(first)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Scenario;

    fn battle(id: &str, from: i64, to: i64) -> GroundTruth {
        let log = [format!("|t:|{from}"), "|turn|1".to_owned(), format!("|t:|{to}")];
        serde_json::from_value(serde_json::json!({
            "id": id, "format": "gen9randombattle", "winner": null, "turns": 1, "endType": "normal", "log": log,
        }))
        .unwrap()
    }

    fn fault(scenario: Scenario) -> Fault {
        let second = |second| Timestamp::from_second(second).unwrap();
        Fault {
            scenario,
            at: second(1_000),
            mended: Some(second(1_060)),
            noticed: None,
            buried: None,
            victims: BTreeMap::new(),
            items: BTreeSet::new(),
            bots: 1,
            watchers: 2,
            wrong: Vec::new(),
            took: Duration::from_mins(1),
        }
    }

    fn found(truth: Vec<GroundTruth>) -> Found {
        Found {
            truth,
            findings: Findings::default(),
            stored: BTreeMap::new(),
            arrived: BTreeMap::new(),
            letters: BTreeMap::new(),
        }
    }

    #[test]
    fn a_battle_that_nobody_discovered_is_lost_unless_nobody_could() {
        let battles = vec![battle("battle-a-1", 1_010, 1_050), battle("battle-a-2", 900, 1_050)];
        let books = found(battles.clone()).books(&[fault(Scenario::SiteUnavailable)]);
        assert_eq!(
            (books.unseen, books.lost),
            (vec!["battle-a-1".to_owned()], vec!["battle-a-2".to_owned()])
        );
        let books = found(battles).books(&[fault(Scenario::NodeCut)]);
        assert_eq!((books.unseen.len(), books.lost.len(), books.battles), (0, 2, 2));
    }

    #[test]
    fn a_pod_whose_clock_was_off_is_not_believed() {
        let second = |second| Timestamp::from_second(second).unwrap();
        for (said, arrived, taken) in [
            (1_000, Some(1_001), 1_000),
            (1_000, Some(1_090), 1_000),
            (1_600, Some(1_001), 1_001),
            (400, Some(1_001), 1_001),
            (1_000, None, 1_000),
        ] {
            assert_eq!(believed(second(said), arrived.map(second)), second(taken), "{said} {arrived:?}");
        }
    }

    #[test]
    fn an_item_that_is_nowhere_is_lost() {
        let mut found = found(Vec::new());
        found.findings.discovered.insert(scrapefleet_api::ItemId::new("battle-a-1").unwrap());
        let books = found.books(&[]);
        assert!(!books.balance() && books.lost == ["battle-a-1"]);
        assert!(Found { findings: Findings::default(), ..found }.books(&[]).balance());
    }

    #[test]
    fn private_battles_are_nobodys_business() {
        let books = found(vec![battle("battle-a-1-abcpw", 1, 2)]).books(&[]);
        assert!(books.balance() && books.battles == 0);
    }
}
