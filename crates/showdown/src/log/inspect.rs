//! Battle logs as artifacts.

use std::{collections::BTreeMap, str};

use scrapefleet_api::{
    ItemId,
    inspect::{Completeness, Inspect},
};

use super::{End, Summary, completeness};

/// The most of a text that becomes a fact, in characters. Names have at most 18, tiers some 60.
const FACT: usize = 100;

/// Judges artifacts of the preset `showdown`.
#[derive(Debug, Clone, Copy, Default)]
pub struct BattleLogs;

impl Inspect for BattleLogs {
    fn completeness(&self, _: &ItemId, artifact: &[u8]) -> Completeness {
        match str::from_utf8(artifact) {
            Ok(log) => completeness(log),
            Err(error) => Completeness::Broken(format!("it is no text from byte {}", error.valid_up_to())),
        }
    }

    /// `tier`, `players`, `turns`, and of a battle that ended `winner` (empty for a tie). Each is there when the log
    /// tells it.
    fn facts(&self, artifact: &[u8]) -> BTreeMap<String, String> {
        let summary = Summary::of(&String::from_utf8_lossy(artifact));
        let winner = summary.end.as_ref().map(|end| match end {
            End::Win(name) => name.clone(),
            End::Tie => String::new(),
        });
        let players = summary.names().map(fact).collect::<Vec<_>>().join(", ");
        [
            ("players", (!players.is_empty()).then_some(players)),
            ("tier", summary.tier.as_deref().map(fact)),
            ("turns", summary.started.then(|| summary.turns.to_string())),
            ("winner", winner.as_deref().map(fact)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
    }
}

fn fact(text: &str) -> String {
    text.chars().take(FACT).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{RATED, RATED_TURNS, RATED_WINNER};
    use super::*;

    fn item() -> ItemId {
        ItemId::new("battle-gen9ou-1").expect("an id")
    }

    #[test]
    fn facts_are_the_logs_own() {
        let facts = BattleLogs.facts(RATED.as_bytes());
        assert_eq!(facts["winner"], RATED_WINNER);
        assert_eq!(facts["turns"], RATED_TURNS.to_string());
        assert_eq!(facts["tier"], "[Gen 9] Random Battle");
        assert_eq!(BattleLogs.facts(b"|tie")["winner"], "");
        assert!(BattleLogs.facts(b"").is_empty());
    }

    #[test]
    fn what_is_no_text_is_broken() {
        let mut artifact = RATED.as_bytes().to_vec();
        artifact[40] = 0xff;
        let judged = BattleLogs.completeness(&item(), &artifact);
        assert_eq!(judged, Completeness::Broken("it is no text from byte 40".into()));
    }

    #[test]
    fn hostile_texts_stay_short() {
        let name = "é".repeat(1_000_000);
        let log = format!("|player|p1|{name}|\n|tier|{name}\n|start\n|win|{name}");
        assert!(BattleLogs.facts(log.as_bytes()).values().all(|value| value.chars().count() <= FACT));
        let Completeness::Broken(why) = BattleLogs.completeness(&item(), log.as_bytes()) else {
            panic!("not broken")
        };
        assert!(why.len() < 1_000);
    }
}
