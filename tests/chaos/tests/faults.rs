//! Faults of every group, as many as a test run has time for, done to fleets at work: whatever breaks, nothing is lost, doubled
//! or different, and no pod is touched that was not struck. `cargo xtask chaos --all` does every one, and as long as it may
//! last. How fast all is well again is printed, and is a bound of that command, not of these tests.
#![allow(clippy::large_futures, reason = "a scene is large; a test holds one")]

use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};
use scrapefleet_chaos::{
    Scenario,
    ring::{self, Programme, Run},
};
use scrapefleet_e2e::in_namespace;
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

/// Who harms what all fleets use is alone; who harms only its own fleet, or its own way to a service, is not.
static OTHERS: RwLock<()> = RwLock::const_new(());

/// Does these faults to a fleet beside others.
async fn survive(name: &str, faults: &[Scenario]) -> Result<()> {
    let _beside = OTHERS.read().await;
    Box::pin(strike(name, faults)).await
}

/// Does these faults to the only fleet that there is.
async fn survive_alone(name: &str, faults: &[Scenario]) -> Result<()> {
    let _alone = OTHERS.write().await;
    Box::pin(strike(name, faults)).await
}

/// Does these faults, one after the other.
async fn strike(name: &str, faults: &[Scenario]) -> Result<()> {
    in_namespace(name, async |space| {
        let run = Run { programme: Programme::Each(faults.to_vec()), seed: 1, brief: true };
        let report = ring::run(&space, &run, &CancellationToken::new()).await?;
        // Past the harness, which shows nothing of a test that passes: the figures are of use then.
        writeln!(std::io::stderr(), "\n── {name}, {:.0} s\n{}", report.seconds, report.text())?;
        ensure!(report.is_clean(), "something was lost, or is wrong:\n{}", report.text());
        ensure!(report.faults.len() == faults.len() && report.books.compared > 0, "nothing was proven");
        Ok(())
    })
    .await
    .with_context(|| name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_replaced_and_own_services_come_back() -> Result<()> {
    use Scenario::{ConsumerTimeout, DeadChrome, HungChrome, SiteUnavailable, StoreRefusing};
    let faults = [HungChrome, DeadChrome, SiteUnavailable, StoreRefusing, ConsumerTimeout];
    survive("browsers", &faults).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_watchers_and_items_are_replaced_or_given_up() -> Result<()> {
    use Scenario::{
        DeadBot, DeletedPod, EvictedPod, HungBot, PoisonItem, UnbuildableBrowser, WatcherHung, WatcherKilled,
    };
    let bots = [DeadBot, HungBot, DeletedPod, EvictedPod, UnbuildableBrowser];
    survive("pods", &[&bots[..], &[WatcherKilled, WatcherHung, PoisonItem]].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_all_fleets_use_comes_back() -> Result<()> {
    use Scenario::{BrokerKilled, NodeCut, OperatorKilledMidway, StoreDown};
    survive_alone("services", &[BrokerKilled, StoreDown, OperatorKilledMidway, NodeCut]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_no_room_loses_nothing() -> Result<()> {
    survive_alone("node", &[Scenario::DiskFull]).await
}
