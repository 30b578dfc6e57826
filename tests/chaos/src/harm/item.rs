//! Harm that is in an item: a battle in which a player says what ends every page that shows it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use scrapefleet_policy::within;
use scrapefleet_queue::{DeadLetter, Reason};
use scrapefleet_store::{ArtifactStore as _, Key};

use super::{CALL_WITHIN, Ground, NothingToStrike};
use crate::{Scenario, effect::Fault, observer};

/// How long the item's attempts may take, all of them.
const BURIED_WITHIN: Duration = Duration::from_mins(4);

/// What every picture of ours begins with.
const PNG: &[u8] = b"\x89PNG";

impl Ground<'_> {
    pub(super) async fn strike_item(&mut self, scenario: Scenario) -> Result<Fault> {
        let uid = self.fullest_bot()?;
        let mut fault = self.fault(scenario, &[uid]);
        // The youngest, which lasts the longest from now: what has ended poisons nobody.
        let number = |item: &String| item.rsplit('-').next().and_then(|number| number.parse::<u64>().ok());
        let youngest = fault.items.iter().max_by_key(|item| number(item)).cloned();
        let poison = youngest.ok_or_else(|| NothingToStrike("the bot holds nothing".to_owned()))?;
        fault.items.remove(&poison);
        self.scene.site.poison(&poison).await?;
        let fleet = self.scene.fleet.get().await?;
        let buried = async || {
            let letters = self.scene.fleet.dead_letters(&fleet, &self.scene.backing).await?;
            let of_poison =
                |letter: &DeadLetter| letter.item.as_ref().is_some_and(|item| item.as_str() == poison);
            Ok(letters.into_iter().find(of_poison))
        };
        let what = format!("{poison} is a dead letter");
        let letter = self.space.until(&what, BURIED_WITHIN, buried).await?;
        fault.buried = Some(observer::now());
        let attempts = u32::try_from(fleet.spec.policies.retry.attempts)?;
        fault.wrong = wrong(&letter, attempts, &self.evidence(&letter).await?);
        Ok(fault)
    }

    /// What a letter names as seen at its failure, as far as it is in the store.
    async fn evidence(&self, letter: &DeadLetter) -> Result<BTreeMap<String, Vec<u8>>> {
        let store = self.scene.backing.store().await?;
        let mut found = BTreeMap::new();
        for key in &letter.failure.evidence {
            let kept = within(CALL_WITHIN, "read evidence", store.get(&Key::new(key.as_str())?)).await??;
            found.extend(kept.map(|kept| (key.clone(), kept.bytes.to_vec())));
        }
        Ok(found)
    }

    /// The bot that holds the most: others are to be held again.
    fn fullest_bot(&self) -> Result<String> {
        let seen = self.observer.seen();
        let holding = seen.live("bot").filter_map(|(uid, pod)| Some((pod.last()?.open().count(), uid)));
        let fullest = holding.max().map(|(_, uid)| uid.clone());
        Ok(fullest.ok_or_else(|| NothingToStrike("no bot answers".to_owned()))?)
    }
}

/// What is wrong with the letter of an item that ended its page at each of so many attempts, with the evidence that is there.
/// A picture is there unless the page could not give one any more, as one that crashed cannot.
fn wrong(letter: &DeadLetter, attempts: u32, evidence: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let mut wrong = Vec::new();
    let attempt = letter.task.as_ref().map(|task| task.attempt);
    if attempt != Some(attempts) {
        wrong.push(format!("its letter is of attempt {attempt:?}, of {attempts} that it has"));
    }
    let failure = &letter.failure;
    if failure.reason != Reason::PageCrashed || failure.message.is_empty() {
        wrong.push(format!("its letter gives the reason {:?}: `{}`", failure.reason, failure.message));
    }
    let is_picture = |key: &String| key.ends_with("/screenshot.png");
    for key in &failure.evidence {
        match evidence.get(key) {
            None => wrong.push(format!("its letter names {key}, which is not in the store")),
            Some(bytes) if is_picture(key) && !bytes.starts_with(PNG) => {
                wrong.push(format!("{key} is no picture"));
            }
            Some(_) => {}
        }
    }
    if failure.reason != Reason::PageCrashed && !failure.evidence.iter().any(is_picture) {
        wrong.push("its letter has no screenshot".to_owned());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PICTURE: &str = "_dead/showdown/battle-a-1/5/screenshot.png";
    const PAGE: &str = "_dead/showdown/battle-a-1/5/page.html";

    fn letter(attempt: u32, reason: &str, message: &str, evidence: &[&str]) -> DeadLetter {
        serde_json::from_value(json!({
            "item": "battle-a-1",
            "task": {
                "schemaVersion": 1, "fleet": "showdown", "id": "battle-a-1", "url": "https://site.example/battle-a-1", "lane": "all",
                "discoveredAt": "2026-01-01T00:00:00Z", "attempt": attempt,
            },
            "failure": { "reason": reason, "message": message, "at": "2026-01-01T00:00:00Z", "evidence": evidence },
        }))
        .unwrap()
    }

    #[test]
    fn a_letter_is_right_with_its_attempts_its_reason_and_what_it_names() {
        let kept = |key: &str, bytes: &[u8]| (key.to_owned(), bytes.to_vec());
        let all = BTreeMap::from([kept(PICTURE, b"\x89PNG\r\n"), kept(PAGE, b"<html>")]);
        let none = BTreeMap::new();
        for (letter, evidence, expected) in [
            (letter(5, "pageCrashed", "it crashed", &[]), &none, vec![]),
            (letter(5, "pageCrashed", "it crashed", &[PICTURE, PAGE]), &all, vec![]),
            (letter(4, "pageCrashed", "it crashed", &[]), &none, vec!["attempt Some(4), of 5"]),
            (letter(5, "pageCrashed", "", &[]), &none, vec!["reason PageCrashed: ``"]),
            (letter(5, "openFailed", "no", &[PICTURE]), &all, vec!["reason OpenFailed: `no`"]),
            (letter(5, "openFailed", "no", &[PAGE]), &all, vec!["reason OpenFailed", "no screenshot"]),
            (letter(5, "pageCrashed", "it crashed", &[PAGE]), &none, vec!["page.html, which is not in"]),
        ] {
            let found = wrong(&letter, 5, evidence);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            assert!(std::iter::zip(&found, expected).all(|(found, part)| found.contains(part)), "{found:?}");
        }
        let torn = BTreeMap::from([kept(PICTURE, b"half")]);
        let found = wrong(&letter(5, "pageCrashed", "it crashed", &[PICTURE]), 5, &torn);
        assert_eq!(found, [format!("{PICTURE} is no picture")]);
    }
}
