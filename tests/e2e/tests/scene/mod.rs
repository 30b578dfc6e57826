//! A site, a broker, a bucket and a fleet between them.
#![allow(dead_code, reason = "shared by binaries that use parts of it")]

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use scrapefleet_e2e::{Backing, Fleet, Site, Space, operator};
use scrapefleet_local_tests::truth;
use scrapefleet_test_site::GroundTruth;
use serde_json::Value;

/// Pairs of players, and how long each player thinks.
const PAIRS: u32 = 6;
const CHOICE: Duration = Duration::from_millis(900);

/// How long the watcher may take to watch, from the fleet's application on.
const WATCHES_WITHIN: Duration = Duration::from_mins(2);
/// How long a fleet may take to finish what was discovered once no battle begins any more.
const FINISHES_WITHIN: Duration = Duration::from_mins(2);

/// A site, a broker, a bucket and a fleet between them.
pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) backing: Backing,
    pub(crate) fleet: Fleet,
    /// Battles that ended before the fleet could know of them.
    before: BTreeSet<String>,
}

impl Scene {
    /// Installs the operator, applies a fleet, and lets players begin once it watches.
    pub(crate) async fn start(space: &Space, more: &Value) -> Result<Self> {
        let scene = Self::quiet(space, more).await?;
        scene.site.resume_players().await?;
        Ok(scene)
    }

    /// The same with a site where nobody plays.
    pub(crate) async fn quiet(space: &Space, more: &Value) -> Result<Self> {
        operator::install().await?;
        let (site, backing) = tokio::try_join!(Site::start(space, PAIRS, CHOICE), Backing::make(space))?;
        site.stop_players().await?;
        let before = site.battles().await?.into_iter().map(|battle| battle.id).collect();
        let fleet = Fleet::showdown(space, "showdown", site.url(), &backing, more).await?;
        let scene = Self { site, backing, fleet, before };
        scene.watches(space).await?;
        Ok(scene)
    }

    /// Waits until a watcher has the list open.
    async fn watches(&self, space: &Space) -> Result<()> {
        space
            .until("a watcher is ready", WATCHES_WITHIN, async || {
                let pods = self.fleet.pods("watcher").await?;
                Ok(pods.iter().any(scrapefleet_e2e::is_ready).then_some(()))
            })
            .await
    }

    /// Lets every battle end and the fleet finish; then every public battle is stored once and as the server logged
    /// it, at least `least` of them, and the ledger balances.
    pub(crate) async fn check(&self, least: usize) -> Result<()> {
        let truth = self.finish().await?;
        let stored = truth::artifacts_in(&self.backing.store().await?).await?;
        let compared = truth::compare_all(&stored, &truth)?;
        ensure!(compared >= least, "only {compared} battles were there to compare");
        Ok(())
    }

    /// The same where the fleet could not see every battle.
    pub(crate) async fn check_stored(&self, least: usize) -> Result<()> {
        let truth = self.finish().await?;
        let stored = truth::artifacts_in(&self.backing.store().await?).await?;
        let seen: Vec<_> = truth.into_iter().filter(|battle| stored.contains_key(&battle.id)).collect();
        let compared = truth::compare_all(&stored, &seen)?;
        ensure!(compared >= least, "only {compared} battles were there to compare");
        Ok(())
    }

    /// How many artifacts are in the bucket.
    pub(crate) async fn stored(&self) -> Result<usize> {
        Ok(truth::artifacts_in(&self.backing.store().await?).await?.len())
    }

    /// What the server logged since the fleet watches, once all is done and the ledger balances.
    async fn finish(&self) -> Result<Vec<GroundTruth>> {
        self.site.stop_players().await?;
        let truth: Vec<_> = self.site.battles().await?;
        self.fleet.idle(FINISHES_WITHIN).await?;
        let ledger = self.fleet.balanced_ledger(&self.backing).await?;
        println!("{}: {}", self.fleet.name, serde_json::to_string(&ledger)?);
        Ok(truth.into_iter().filter(|battle| !self.before.contains(&battle.id)).collect())
    }
}
