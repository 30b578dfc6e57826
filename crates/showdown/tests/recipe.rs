//! The recipe, tried with real Chrome on the real server, in both generations of the client.

mod scene;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use scene::{Scene, open, seen};
use scrapefleet_api::{
    ItemId,
    inspect::{Completeness, Inspect},
};
use scrapefleet_browser::{
    Fault as StepFault, Item, ListPage, Observation, PageState, Placement, SiteBrowser,
};
use scrapefleet_showdown::log::BattleLogs;
use scrapefleet_test_site::{Client, Fault, ShowdownSite, showdown::Builder};

fn site(client: Client) -> Builder {
    ShowdownSite::builder()
        .client(client)
        .players(4)
        .choice_every(Duration::from_millis(120))
        .lasting_share(0.0)
        .private_share(0.0)
}

/// Refreshes the list until it shows so many battles.
async fn listed(list: &mut dyn ListPage, least: usize) -> Result<Vec<Item>> {
    let deadline = tokio::time::Instant::now() + scene::PATIENCE;
    loop {
        let window = list.refresh().await?;
        ensure!(window.unreadable.is_empty(), "cannot read {:?}", window.unreadable);
        if window.items.len() >= least {
            return Ok(window.items);
        }
        ensure!(tokio::time::Instant::now() < deadline, "the list shows only {:?}", window.items);
    }
}

/// Takes a log until it is complete.
async fn complete(bot: &mut dyn SiteBrowser, id: &ItemId) -> Result<String> {
    let deadline = tokio::time::Instant::now() + scene::PATIENCE;
    loop {
        let artifact = bot.take(id).await?;
        match BattleLogs.completeness(id, &artifact) {
            Completeness::Complete => return Ok(String::from_utf8(artifact.to_vec())?),
            Completeness::Late(_) if tokio::time::Instant::now() < deadline => {}
            judged => bail!("{id}: {judged:?}"),
        }
    }
}

/// Holds everything that is open until it has ended; items that are lost are opened again.
async fn hold(bot: &mut dyn SiteBrowser, items: &[Item]) -> Result<BTreeMap<ItemId, String>> {
    let mut logs = BTreeMap::new();
    while logs.len() < items.len() {
        let missing = |id: &ItemId| items.iter().any(|item| item.id == *id) && !logs.contains_key(id);
        let (id, observation) = seen(bot, "a battle that ends", |probe| {
            let news = |(id, seen): &(&ItemId, &Observation)| {
                missing(id) && !matches!(seen, Observation::Live { .. } | Observation::Opening)
            };
            probe.items.iter().find(news).map(|(id, seen)| (id.clone(), seen.clone()))
        })
        .await?;
        match observation {
            Observation::Ended => {
                let log = complete(bot, &id).await?;
                bot.leave(&id).await?;
                logs.insert(id, log);
            }
            Observation::Lost { .. } => {
                let item = items.iter().find(|item| item.id == id).context("not ours")?;
                bot.open(item, Placement::Ordinary).await?;
            }
            other => bail!("{id}: {other:?}"),
        }
    }
    Ok(logs)
}

async fn logs_equal_the_servers(client: Client) -> Result<()> {
    let mut scene = Scene::start(site(client)).await?;
    let mut list = scene.list().await?;
    let mut bot = scene.bot().await?;
    let items = listed(list.as_mut(), 4).await?;
    for item in &items {
        let seen = open(bot.as_mut(), item).await?;
        ensure!(matches!(seen, Observation::Live { .. } | Observation::Ended), "{}: {seen:?}", item.id);
    }
    let progress = bot.probe().await?;
    seen(bot.as_mut(), "that battles move", |probe| (probe.items != progress.items).then_some(())).await?;

    let logs = hold(bot.as_mut(), &items).await?;
    scene.site.stop_players().await?;
    for (id, log) in &logs {
        scene.check(id, log).await?;
    }
    ensure!(bot.probe().await?.items.is_empty(), "something was not left");

    // Whoever comes after the end still gets everything.
    let late = scene.item(items[0].id.as_str())?;
    ensure!(open(bot.as_mut(), &late).await? == Observation::Ended);
    scene.check(&late.id, &complete(bot.as_mut(), &late.id).await?).await?;

    // Should the client's own lines be out of reach, the download link has them, too.
    scene.run_in_page("window.scrapefleet.lines = () => [];").await?;
    scene.check(&late.id, &complete(bot.as_mut(), &late.id).await?).await?;

    list.close().await;
    bot.close().await;
    scene.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn older_client_gives_the_servers_logs() -> Result<()> {
    logs_equal_the_servers(Client::Old).await
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_client_gives_the_servers_logs() -> Result<()> {
    logs_equal_the_servers(Client::New).await
}

async fn what_is_gone_is_told(client: Client) -> Result<()> {
    let mut scene =
        Scene::start(site(client).choice_every(Duration::from_secs(2)).forfeit_share(0.0)).await?;
    let mut list = scene.list().await?;
    let mut bot = scene.bot().await?;
    let unknown = scene.item("battle-gen9randombattle-987654")?;
    let Observation::Gone { proof } = open(bot.as_mut(), &unknown).await? else { bail!("not gone") };
    ensure!(proof.contains("does not exist"), "{proof}");
    bot.leave(&unknown.id).await?;

    // A player may make a battle private while we watch.
    let items = listed(list.as_mut(), 2).await?;
    for item in &items {
        open(bot.as_mut(), item).await?;
    }
    let hidden = &items[0];
    scene.site.hide_battle(hidden.id.as_str()).await?;
    let proof = seen(bot.as_mut(), "that a battle is gone", |probe| match probe.items.get(&hidden.id) {
        Some(Observation::Gone { proof }) => Some(proof.clone()),
        _ => None,
    })
    .await?;
    ensure!(proof.contains("took us out"), "{proof}");
    bot.leave(&hidden.id).await?;
    let left = bot.probe().await?.items;
    ensure!(left.len() == items.len() - 1 && !left.contains_key(&hidden.id), "{left:?}");
    ensure!(left.values().all(|seen| matches!(seen, Observation::Live { .. })), "{left:?}");
    let again = open(bot.as_mut(), hidden).await?;
    ensure!(matches!(again, Observation::Gone { .. }), "{again:?}");
    ensure!(!listed(list.as_mut(), 1).await?.contains(hidden), "the list shows a private battle");

    list.close().await;
    bot.close().await;
    scene.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn older_client_tells_what_is_gone() -> Result<()> {
    what_is_gone_is_told(Client::Old).await
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_client_tells_what_is_gone() -> Result<()> {
    what_is_gone_is_told(Client::New).await
}

/// Holds items to their ends, compares what was taken with the server's own logs, and ends the scene.
async fn hold_and_check(scene: Scene, mut bot: Box<dyn SiteBrowser>, items: &[Item]) -> Result<()> {
    let logs = hold(bot.as_mut(), items).await?;
    scene.site.stop_players().await?;
    for (id, log) in &logs {
        scene.check(id, log).await?;
    }
    bot.close().await;
    scene.stop().await
}

/// Opens battles, then cuts the connection and waits until the page says so, and whether it comes back by itself.
async fn cut_off(scene: &mut Scene, bot: &mut dyn SiteBrowser, comes_back: bool) -> Result<Vec<Item>> {
    let mut list = scene.list().await?;
    let items = listed(list.as_mut(), 3).await?;
    for item in &items {
        open(bot, item).await?;
    }
    scene.site.cut_connections().await?;
    seen(bot, "the lost connection", |probe| {
        matches!(probe.page, PageState::Disconnected { waiting, .. } if waiting == comes_back).then_some(())
    })
    .await?;
    let error = list.refresh().await.err().context("a list without connection was read")?;
    ensure!(error.fault == StepFault::Unusable, "{error}");
    list.reload().await?;
    list.refresh().await?;
    list.close().await;
    Ok(items)
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_client_comes_back_by_itself() -> Result<()> {
    let mut scene = Scene::start(site(Client::New)).await?;
    let mut bot = scene.bot().await?;
    let items = cut_off(&mut scene, bot.as_mut(), true).await?;
    seen(bot.as_mut(), "the new connection", |probe| (probe.page == PageState::Connected).then_some(()))
        .await?;
    hold_and_check(scene, bot, &items).await
}

#[tokio::test(flavor = "multi_thread")]
async fn older_client_is_loaded_anew() -> Result<()> {
    let mut scene = Scene::start(site(Client::Old)).await?;
    let mut bot = scene.bot().await?;
    let items = cut_off(&mut scene, bot.as_mut(), false).await?;
    bot.reload().await?;
    hold_and_check(scene, bot, &items).await
}

/// A battle in a tab of its own follows the connection of that tab: the newer client's comes back, the older's is lost.
async fn alone_and_cut_off(client: Client, comes_back: bool) -> Result<()> {
    let mut scene = Scene::start(site(client)).await?;
    let mut bot = scene.bot().await?;
    let mut list = scene.list().await?;
    let mut items = listed(list.as_mut(), 1).await?;
    list.close().await;
    items.truncate(1);
    bot.open(&items[0], Placement::Alone).await?;
    scene.site.cut_connections().await?;
    let outcome = seen(bot.as_mut(), "what becomes of the battle", |probe| {
        let on = |seen: &&Observation| !matches!(seen, Observation::Live { .. } | Observation::Opening);
        probe.items.get(&items[0].id).filter(on).cloned()
    })
    .await?;
    ensure!(matches!(outcome, Observation::Lost { .. }) != comes_back, "{outcome:?}");
    if !comes_back {
        bot.open(&items[0], Placement::Alone).await?;
    }
    hold_and_check(scene, bot, &items).await
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_client_comes_back_in_a_tab_of_its_own() -> Result<()> {
    alone_and_cut_off(Client::New, true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn older_client_is_lost_in_a_tab_of_its_own() -> Result<()> {
    alone_and_cut_off(Client::Old, false).await
}

async fn site_faults_are_told(client: Client) -> Result<()> {
    let mut scene = Scene::start(site(client).players(0)).await?;
    let mut bot = scene.bot().await?;
    for (fault, expected) in [
        (Fault::Overload, StepFault::SiteRefuses),
        (Fault::LoginWall, StepFault::SiteRefuses),
        (Fault::Unavailable, StepFault::SiteUnreachable),
    ] {
        scene.site.set_fault(fault).await?;
        let error = bot.reload().await.err().with_context(|| format!("{fault:?} was not noticed"))?;
        ensure!(error.fault == expected, "{fault:?}: {error}");
    }
    scene.site.set_fault(Fault::None).await?;
    bot.reload().await?;
    ensure!(bot.probe().await?.page == PageState::Connected);
    bot.close().await;
    scene.stop().await
}

async fn list_faults_are_told(client: Client) -> Result<()> {
    let mut scene = Scene::start(site(client).players(0)).await?;
    let mut list = scene.list().await?;
    ensure!(list.refresh().await?.items.is_empty(), "an empty list is a list");
    scene.site.set_fault(Fault::Stale).await?;
    let error = list.refresh().await.err().context("a list that does not answer was read")?;
    // On a busy machine the browser's own word comes too late.
    ensure!(matches!(error.fault, StepFault::Unusable | StepFault::Timeout), "{error}");
    scene.site.set_fault(Fault::Overload).await?;
    list.reload().await?;
    let error = list.refresh().await.err().context("a list that is sent away was read")?;
    ensure!(error.fault == StepFault::SiteRefuses, "{error}");
    scene.site.set_fault(Fault::None).await?;
    list.reload().await?;
    ensure!(list.refresh().await?.items.is_empty());
    list.close().await;
    scene.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn older_client_tells_what_is_wrong_with_the_site() -> Result<()> {
    site_faults_are_told(Client::Old).await
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_client_tells_what_is_wrong_with_the_site() -> Result<()> {
    site_faults_are_told(Client::New).await
}

#[tokio::test(flavor = "multi_thread")]
async fn older_client_tells_what_is_wrong_with_the_list() -> Result<()> {
    list_faults_are_told(Client::Old).await
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_client_tells_what_is_wrong_with_the_list() -> Result<()> {
    list_faults_are_told(Client::New).await
}

async fn throttle_is_noticed(client: Client) -> Result<()> {
    let mut scene = Scene::start(site(client).players(0).throttle(true)).await?;
    let mut bot = scene.bot().await?;
    for n in 0..4 {
        let item = scene.item(&format!("battle-gen9randombattle-{}", 900 + n))?;
        open(bot.as_mut(), &item).await?;
        bot.leave(&item.id).await?;
    }
    ensure!(!bot.probe().await?.throttled, "who waits for answers is not throttled");
    // The server lets one message through and keeps five back; the rest it drops, and says so.
    let talk =
        "for (let i = 0; i < 9; i++) (window.PS ?? window.app).send('/join battle-gen9randombattle-1');";
    scene.run_in_page(talk).await?;
    seen(bot.as_mut(), "the throttle's notice", |probe| probe.throttled.then_some(())).await?;
    // Each message that was dropped has a notice of its own, and they need not come together.
    seen(bot.as_mut(), "a look without a new notice", |probe| (!probe.throttled).then_some(())).await?;
    bot.close().await;
    scene.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn older_client_tells_when_it_is_throttled() -> Result<()> {
    throttle_is_noticed(Client::Old).await
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_client_tells_when_it_is_throttled() -> Result<()> {
    throttle_is_noticed(Client::New).await
}
