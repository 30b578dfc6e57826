//! Items that have a tab each.

use std::{collections::BTreeMap, time::Duration};

use scrapefleet_api::{ItemId, recipe::Recipe};
use scrapefleet_browser::{
    BrowserFactory, Evidence, Fault, Item, Layer, Observation, PageState, Placement, Step,
    recipe::RecipeFactory,
};
use scrapefleet_test_site::quotes::{PAGE, Quotes};

use crate::{
    site::App,
    support::{
        STEP, UNRESPONSIVE, app_recipe, bot, factory, observe, renderers, settings, signal, timed, turn,
        until,
    },
};

/// The recipe of `examples/quotes.yaml`.
fn quotes_recipe() -> Recipe {
    let yaml = include_str!("../../../../examples/quotes.yaml");
    let manifest = scrapefleet_api::manifest::load(yaml, &[]).unwrap();
    manifest.spec.site.recipe.unwrap()
}

fn quote(site: &Quotes, id: u32) -> Item {
    Item { id: ItemId::new(id.to_string()).unwrap(), url: format!("{}/quotes/{id}", site.url) }
}

fn quotes_factory(site: &Quotes) -> RecipeFactory {
    let mut settings = settings(quotes_recipe(), &site.url);
    settings.politeness.robots_txt = scrapefleet_api::politeness::RobotsTxt::Respect;
    RecipeFactory::new(settings).unwrap()
}

#[tokio::test]
async fn quotes_are_held_until_they_are_finished() {
    let _turn = turn().await;
    let site = Quotes::start().await.unwrap();
    let factory = quotes_factory(&site);
    let mut browser = bot(&factory).await;
    let [grows, moved, removed, broken] = [0; 4].map(|_| site.publish(3));
    site.relocate(moved);
    site.finish(moved);
    site.remove(removed);
    site.fail(broken);

    let grows = quote(&site, grows);
    timed("open a tab", STEP, browser.open(&grows, Placement::Ordinary)).await.unwrap();
    let before = observe(&mut browser, &grows.id).await;
    assert!(matches!(before, Observation::Live { .. }));
    site.grow(1);
    until(&mut browser, &grows.id, |seen| *seen != before && matches!(seen, Observation::Live { .. })).await;

    let moved = quote(&site, moved);
    browser.open(&moved, Placement::Ordinary).await.unwrap();
    assert_eq!(observe(&mut browser, &moved.id).await, Observation::Ended, "a redirect leads to the item");

    let removed = quote(&site, removed);
    browser.open(&removed, Placement::Ordinary).await.unwrap();
    let gone = Observation::Gone { proof: "There is no quote 3".to_owned() };
    assert_eq!(observe(&mut browser, &removed.id).await, gone);

    let broken = quote(&site, broken);
    let error = timed("HTTP 500", STEP, browser.open(&broken, Placement::Ordinary)).await.unwrap_err();
    assert_eq!((error.step, error.fault, error.layer()), (Step::Open, Fault::SiteUnreachable, Layer::Site));
    assert!(error.message.contains("HTTP 500"), "{error}");
    // Its tab is closed; what it showed is kept.
    let evidence = browser.evidence(Some(&broken.id)).await;
    let page = evidence.html.unwrap();
    assert!(String::from_utf8_lossy(&page).contains("Something went wrong"), "{page:?}");
    assert!(evidence.screenshot.unwrap().starts_with(b"\x89PNG"));
    // Of what was never opened there is nothing to show: not another's page, nor Chrome's own.
    assert_eq!(browser.evidence(Some(&quote(&site, 99).id)).await, Evidence::default());

    site.finish(1);
    until(&mut browser, &grows.id, |seen| *seen == Observation::Ended).await;
    let artifact = browser.take(&grows.id).await.unwrap();
    assert_eq!(artifact, site.artifact(1).unwrap());
    browser.leave(&grows.id).await.unwrap();
    browser.leave(&removed.id).await.unwrap();
    let probe = browser.probe().await.unwrap();
    assert_eq!(probe.page, PageState::Connected);
    assert_eq!(probe.items, BTreeMap::from([(moved.id.clone(), Observation::Ended)]));
    let driver = browser.process_id().unwrap();
    let began = scrapefleet_policy::Instant::now();
    while renderers(driver).len() > 2 {
        assert!(began.elapsed() < STEP, "closed tabs leave their processes behind");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    browser.close().await;
}

#[tokio::test]
async fn the_list_of_quotes_is_a_window_on_the_newest() {
    let _turn = turn().await;
    let site = Quotes::start().await.unwrap();
    let factory = quotes_factory(&site);
    let mut list = factory.list_page().await.unwrap();
    assert_eq!(list.refresh().await.unwrap().items, []);
    assert_eq!(site.visits("/quotes"), 1, "what was just loaded is not loaded again");
    for _ in 0..PAGE + 2 {
        site.publish(1);
    }
    let window = timed("refresh by loading", STEP, list.refresh()).await.unwrap();
    let ids: Vec<u32> = window.items.iter().map(|item| item.id.as_str().parse().unwrap()).collect();
    assert_eq!(ids, (3..=12).rev().collect::<Vec<_>>());
    assert_eq!((window.limit, window.unreadable.len()), (Some(PAGE), 0));
    assert_eq!(window.items[0].url, format!("{}/quotes/12", site.url));
    list.close().await;
}

#[tokio::test]
async fn an_item_alone_takes_nothing_with_it() {
    let _turn = turn().await;
    let app = App::start().await;
    let factory = factory(app_recipe(), &app.url);
    let mut browser = bot(&factory).await;
    let driver = browser.process_id().unwrap();
    let [good, bad, hung, stays] =
        ["plain-1", "plain-2", "loop-1", "ends-1"].map(|id| crate::support::item(&app.url, id));
    browser.open(&good, Placement::Ordinary).await.unwrap();
    browser.open(&stays, Placement::Alone).await.unwrap();
    let before = renderers(driver);
    browser.open(&bad, Placement::Alone).await.unwrap();
    let new: Vec<_> = renderers(driver).into_iter().filter(|pid| !before.contains(pid)).collect();

    // Its renderer dies: that item fails, and only that.
    for pid in new {
        signal(pid, rustix::process::Signal::KILL);
    }
    let began = scrapefleet_policy::Instant::now();
    let probe = loop {
        let probe = timed("probe with a crashed tab", STEP, browser.probe()).await.unwrap();
        if probe.failed.contains_key(&bad.id) || began.elapsed() > STEP {
            break probe;
        }
    };
    let error = &probe.failed[&bad.id];
    assert_eq!((error.fault, error.layer()), (Fault::PageCrashed, Layer::Item), "{error}");
    assert!(matches!(probe.items[&good.id], Observation::Live { .. }), "{probe:?}");
    assert_eq!(probe.items[&stays.id], Observation::Ended);
    assert!(browser.probe().await.unwrap().failed.contains_key(&bad.id), "it is said until the item is left");
    browser.leave(&bad.id).await.unwrap();

    // Its script never ends: the same.
    let opened = timed("open a loop", STEP, browser.open(&hung, Placement::Alone)).await;
    let error = match opened {
        Ok(()) => {
            timed("probe with a looping tab", STEP, browser.probe()).await.unwrap().failed[&hung.id].clone()
        }
        Err(error) => error,
    };
    assert_eq!((error.fault, error.layer()), (Fault::Timeout, Layer::Item), "{error}");
    // It is not asked what it shows, and the shared page is not shown in its place.
    let evidence = timed("evidence of it", Duration::ZERO, browser.evidence(Some(&hung.id))).await;
    assert_eq!(evidence, Evidence::default());
    timed("round trip", UNRESPONSIVE, browser.round_trip()).await.unwrap();
    browser.leave(&hung.id).await.unwrap();
    let probe = browser.probe().await.unwrap();
    assert_eq!((probe.items.len(), probe.failed.len()), (2, 0), "{probe:?}");
    assert_eq!(browser.take(&stays.id).await.unwrap(), "one\ntwo\nthrée".as_bytes());
    browser.close().await;
}

#[tokio::test]
async fn an_item_alone_is_lost_with_the_connection_of_its_tab() {
    let _turn = turn().await;
    let app = App::start().await;
    let factory = factory(app_recipe(), &app.url);
    let mut browser = bot(&factory).await;
    let [good, cut, wall, ends] =
        ["plain-1", "cut-1", "wall-1", "ends-1"].map(|id| crate::support::item(&app.url, id));
    browser.open(&good, Placement::Ordinary).await.unwrap();
    for alone in [&ends, &wall, &cut] {
        browser.open(alone, Placement::Alone).await.unwrap();
    }
    let lost = |why: &'static str| move |seen: &Observation| matches!(seen, Observation::Lost { why: told } if told.contains(why));
    let seen = observe(&mut browser, &cut.id).await;
    assert!(matches!(seen, Observation::Live { .. }), "it is given its time to reconnect: {seen:?}");
    until(&mut browser, &cut.id, lost("its tab is disconnected: You have been disconnected")).await;
    until(&mut browser, &wall.id, lost("unavailable: Please log in")).await;
    // Neither is the shared page's, and what has ended can be taken.
    let probe = browser.probe().await.unwrap();
    assert_eq!(probe.page, PageState::Connected, "{probe:?}");
    assert!(matches!(probe.items[&good.id], Observation::Live { .. }), "{probe:?}");
    assert_eq!(probe.items[&ends.id], Observation::Ended);
    browser.close().await;
}

#[tokio::test]
async fn a_site_that_does_not_answer_is_at_fault_and_no_tab_is_left() {
    let _turn = turn().await;
    let app = App::start().await;
    let recipe = serde_json::json!({
        "mode": "tab",
        "list": { "url": "/app", "item": "a", "idPattern": "(?<id>[a-z0-9/]+)" },
        "item": { "url": "/{id}", "doneWhen": { "selector": "h1" }, "take": [{ "html": "h1" }] },
    });
    let mut settings = settings(serde_json::from_value(recipe).unwrap(), &app.url);
    settings.deadlines.step.hard = Duration::from_secs(5);
    let factory = RecipeFactory::new(settings).unwrap();
    let mut browser = bot(&factory).await;
    let item = |path: &str| Item { id: ItemId::new(path).unwrap(), url: format!("{}/{path}", app.url) };
    for (path, fault) in [
        ("never", Fault::SiteUnreachable),
        ("status/503", Fault::SiteUnreachable),
        ("status/403", Fault::SiteRefuses),
        ("status/429", Fault::SiteRefuses),
    ] {
        let limit = Duration::from_secs(5);
        let error = timed(path, limit, browser.open(&item(path), Placement::Ordinary)).await.unwrap_err();
        // A page of an error may well look as if it had ended: its status counts first.
        assert_eq!((error.fault, error.layer()), (fault, Layer::Site), "{path}: {error}");
    }
    browser.open(&item("status/410"), Placement::Ordinary).await.unwrap();
    let gone = Observation::Gone { proof: "HTTP 410".to_owned() };
    assert_eq!(observe(&mut browser, &item("status/410").id).await, gone);
    let url = app.url.clone();
    drop(app);
    let dead = Item { id: ItemId::new("x").unwrap(), url: format!("{url}/x") };
    let error =
        timed("connection refused", STEP, browser.open(&dead, Placement::Ordinary)).await.unwrap_err();
    assert_eq!((error.fault, error.layer()), (Fault::SiteUnreachable, Layer::Site), "{error}");
    assert_eq!(browser.probe().await.unwrap().items.len(), 1);
    browser.close().await;
}
