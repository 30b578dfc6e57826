//! What was stored, compared with what the server itself logged.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use scrapefleet_showdown::log::compare;
use scrapefleet_store::{Artifact, ArtifactStore};
use scrapefleet_test_site::{GroundTruth, ShowdownSite};

use crate::fleet::Fleet;

/// Every artifact of the fleet, by item; fails when an item has two, or when one cannot be read.
pub async fn artifacts(fleet: &Fleet) -> Result<BTreeMap<String, Artifact>> {
    artifacts_in(&fleet.store().await?).await
}

/// Every artifact in a store of one fleet, by item; fails when an item has two, or when one cannot be read.
pub async fn artifacts_in(store: &dyn ArtifactStore) -> Result<BTreeMap<String, Artifact>> {
    let mut keys = store.list("").await?;
    let mut found = BTreeMap::new();
    while let Some(key) = keys.next().await {
        let key = key?;
        if key.is_record() {
            continue;
        }
        let artifact = store.get(&key).await?.with_context(|| format!("{key} is listed and not there"))?;
        let item = artifact.metadata.item.to_string();
        ensure!(found.insert(item.clone(), artifact).is_none(), "{item} is stored twice");
    }
    Ok(found)
}

/// Battles that ended before a scrape began, which it cannot know of.
#[derive(Debug, Clone, Default)]
pub struct Before(BTreeSet<String>);

impl Before {
    /// Lets the site's players end what they began, and rest until a scrape is ready.
    pub async fn rest(site: &ShowdownSite) -> Result<Self> {
        site.stop_players().await?;
        Ok(Self(site.battles_logged().await?.into_iter().map(|battle| battle.id).collect()))
    }

    /// What the server logged since.
    pub async fn since(&self, site: &ShowdownSite) -> Result<Vec<GroundTruth>> {
        let logged = site.battles_logged().await?;
        Ok(logged.into_iter().filter(|battle| !self.0.contains(&battle.id)).collect())
    }
}

/// Checks that every public battle of `truth` is stored once, equal to the server's own log, and nothing private is.
/// Answers how many battles were compared.
pub async fn check(fleet: &Fleet, truth: &[GroundTruth]) -> Result<usize> {
    compare_all(&artifacts(fleet).await?, truth)
}

/// The same for artifacts that were read already.
pub fn compare_all(stored: &BTreeMap<String, Artifact>, truth: &[GroundTruth]) -> Result<usize> {
    ensure!(!stored.keys().any(|item| item.ends_with("pw")), "a private battle was stored");
    let public: Vec<_> = truth.iter().filter(|battle| !battle.is_private()).collect();
    for battle in &public {
        let artifact = stored.get(&battle.id).with_context(|| format!("{} is not stored", battle.id))?;
        check_one(battle, artifact).with_context(|| battle.id.clone())?;
    }
    Ok(public.len())
}

/// The same for a scrape that could not see every battle, its list having been away: those that are stored equal the
/// server's own log.
pub async fn check_stored(fleet: &Fleet, truth: Vec<GroundTruth>) -> Result<usize> {
    let stored = artifacts(fleet).await?;
    let seen: Vec<_> = truth.into_iter().filter(|battle| stored.contains_key(&battle.id)).collect();
    check(fleet, &seen).await
}

fn check_one(battle: &GroundTruth, artifact: &Artifact) -> Result<()> {
    let log = std::str::from_utf8(&artifact.bytes).context("not UTF-8")?;
    compare(log, &battle.text())?;
    let fact = |name: &str| artifact.metadata.facts.get(name).cloned();
    ensure!(
        fact("turns") == Some(battle.turns.to_string()),
        "turns: {:?}, logged {}",
        fact("turns"),
        battle.turns
    );
    ensure!(fact("winner") == battle.winner, "winner: {:?}, logged {:?}", fact("winner"), battle.winner);
    Ok(())
}
