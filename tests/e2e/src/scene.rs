//! A site, a broker, a bucket and a fleet between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, ensure};
use scrapefleet_cli::ledger::Findings;
use scrapefleet_local_tests::truth;
use scrapefleet_store::Artifact;
use scrapefleet_test_site::GroundTruth;
use serde_json::Value;

use crate::{Backing, Fleet, Site, Space, operator};

/// Who plays on the site.
#[derive(Debug, Clone, Copy)]
pub struct Players {
    /// Pairs of them: the most battles at one time.
    pub pairs: u32,
    /// How long each player thinks before a choice.
    pub choice: Duration,
}

impl Default for Players {
    /// A few, whose battles last about a minute.
    fn default() -> Self {
        Self { pairs: 6, choice: Duration::from_millis(900) }
    }
}

/// How long the watcher may take to watch, from the fleet's application on.
const WATCHES_WITHIN: Duration = Duration::from_mins(2);
/// How long a fleet may take to finish what was discovered once no battle begins any more.
const FINISHES_WITHIN: Duration = Duration::from_mins(2);

/// A site, a broker, a bucket and a fleet between them.
pub struct Scene {
    /// The site. Scenes side by side share one.
    pub site: Arc<Site>,
    /// The broker and the bucket.
    pub backing: Backing,
    /// The fleet.
    pub fleet: Fleet,
    /// Battles that ended before the fleet could know of them.
    before: BTreeSet<String>,
}

impl Scene {
    /// Installs the operator, applies a fleet, and lets players begin once it watches.
    pub async fn start(space: &Space, more: &Value) -> Result<Self> {
        Box::pin(Self::with(space, Players::default(), more)).await
    }

    /// The same with these players.
    pub async fn with(space: &Space, players: Players, more: &Value) -> Result<Self> {
        let scene = Box::pin(Self::without_play(space, players, more)).await?;
        scene.site.resume_players().await?;
        Ok(scene)
    }

    /// The same with a site where nobody plays.
    pub async fn quiet(space: &Space, more: &Value) -> Result<Self> {
        Box::pin(Self::without_play(space, Players::default(), more)).await
    }

    /// The same as [`Scene::start`] in a namespace where every pod of the fleet must be `restricted`.
    pub async fn start_restricted(space: &Space, more: &Value) -> Result<Self> {
        let (site, backing) = Box::pin(Self::set(space, Players::default())).await?;
        space.refuse_unrestricted().await?;
        let scene = Box::pin(Self::of(space, site, backing, more)).await?;
        scene.site.resume_players().await?;
        Ok(scene)
    }

    /// A fleet of the same name in another namespace that scrapes the same site, where nobody may play yet.
    pub async fn beside(&self, space: &Space, more: &Value) -> Result<Self> {
        let backing = Backing::make(space).await?;
        Box::pin(Self::of(space, Arc::clone(&self.site), backing, more)).await
    }

    async fn without_play(space: &Space, players: Players, more: &Value) -> Result<Self> {
        let (site, backing) = Box::pin(Self::set(space, players)).await?;
        Box::pin(Self::of(space, site, backing, more)).await
    }

    /// Installs the operator; a site where nobody plays, a broker and a bucket.
    async fn set(space: &Space, players: Players) -> Result<(Arc<Site>, Backing)> {
        operator::install().await?;
        let site = Site::start(space, players.pairs, players.choice);
        let (site, backing) = tokio::try_join!(site, Backing::make(space))?;
        site.stop_players().await?;
        Ok((Arc::new(site), backing))
    }

    /// Applies a fleet, and waits until it watches.
    async fn of(space: &Space, site: Arc<Site>, backing: Backing, more: &Value) -> Result<Self> {
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
                Ok(pods.iter().any(crate::is_ready).then_some(()))
            })
            .await
    }

    /// Lets every battle end and the fleet finish; then every public battle is stored once and as the server logged
    /// it, at least `least` of them, and the ledger balances.
    pub async fn check(&self, least: usize) -> Result<()> {
        let (truth, _) = self.finish().await?;
        self.compare(&truth, least).await
    }

    /// The same where the fleet could not see every battle: every one that it has ever discovered is stored.
    pub async fn check_discovered(&self, least: usize) -> Result<()> {
        let (mut truth, findings) = self.finish().await?;
        let discovered: BTreeSet<_> = findings.discovered.iter().map(ToString::to_string).collect();
        truth.retain(|battle| discovered.contains(&battle.id));
        self.compare(&truth, least).await
    }

    /// What is stored equals these, at least `least` of them.
    async fn compare(&self, truth: &[GroundTruth], least: usize) -> Result<()> {
        let compared = truth::compare_all(&self.artifacts().await?, truth)?;
        ensure!(compared >= least, "only {compared} battles were there to compare");
        Ok(())
    }

    /// How many artifacts are in the bucket.
    pub async fn stored(&self) -> Result<usize> {
        Ok(self.artifacts().await?.len())
    }

    /// Every artifact in the bucket, by item; fails when an item has two.
    pub async fn artifacts(&self) -> Result<BTreeMap<String, Artifact>> {
        self.backing.artifacts().await
    }

    /// The same once the ledger balances, too, and what that is made of.
    async fn finish(&self) -> Result<(Vec<GroundTruth>, Findings)> {
        let truth = self.wind_down(FINISHES_WITHIN).await?;
        Ok((truth, self.fleet.balanced(&self.backing).await?))
    }

    /// Lets every battle end; what the server logged since the fleet watches, once the fleet has nothing to do any more.
    pub async fn wind_down(&self, limit: Duration) -> Result<Vec<GroundTruth>> {
        self.site.stop_players().await?;
        let truth: Vec<_> = self.site.battles().await?;
        self.fleet.idle(limit).await?;
        Ok(truth.into_iter().filter(|battle| !self.before.contains(&battle.id)).collect())
    }
}
