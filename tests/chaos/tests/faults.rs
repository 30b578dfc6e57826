//! Faults of every group, as many as a test run has time for, done to a fleet at work: whatever breaks, nothing is lost, doubled
//! or different. `cargo xtask chaos --all` does every one. How fast all is well again is printed, and is a bound of that command,
//! not of these tests.
#![allow(clippy::large_futures, reason = "a scene is large; a test holds one")]

use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};
use scrapefleet_chaos::{
    Scenario,
    ring::{self, Programme},
};
use scrapefleet_e2e::in_namespace;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// One fleet at a time: faults of the services strike all.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Does these faults, one after the other.
async fn survive(name: &str, faults: &[Scenario]) -> Result<()> {
    let _alone = ALONE.lock().await;
    in_namespace(name, async |space| {
        let programme = Programme::Each(faults.to_vec());
        let report = ring::run(&space, &programme, 1, &CancellationToken::new()).await?;
        // Past the harness, which shows nothing of a test that passes: the figures are of use then.
        writeln!(std::io::stderr(), "\n── {name}\n{}", report.text())?;
        ensure!(report.is_clean(), "something was lost, doubled or different:\n{}", report.text());
        ensure!(report.faults.len() == faults.len() && report.books.compared > 0, "nothing was proven");
        let bystander = report.faults.iter().find(|fault| fault.bystanders > 0);
        let bystander = bystander.map(|fault| fault.scenario);
        bystander
            .map_or(Ok(()), |scenario| Err(anyhow::anyhow!("{scenario} ended bots that it did not strike")))
    })
    .await
    .with_context(|| name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_replaced() -> Result<()> {
    use Scenario::{DeadChrome, HungChrome, LoopingPage};
    survive("browsers", &[HungChrome, LoopingPage, DeadChrome]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_and_watchers_are_replaced() -> Result<()> {
    use Scenario::{DeadBot, DeletedPod, EvictedPod, HungBot, WatcherHung, WatcherKilled};
    survive("pods", &[DeadBot, HungBot, DeletedPod, EvictedPod, WatcherKilled, WatcherHung]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_ends_its_page_is_a_dead_letter_and_all_others_are_stored() -> Result<()> {
    survive("item", &[Scenario::PoisonItem]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn services_come_back() -> Result<()> {
    use Scenario::{BrokerKilled, OperatorKilled, SiteUnavailable, StoreDown};
    survive("services", &[BrokerKilled, StoreDown, SiteUnavailable, OperatorKilled]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_stores_nothing_twice() -> Result<()> {
    survive("node", &[Scenario::NodeCut]).await
}
