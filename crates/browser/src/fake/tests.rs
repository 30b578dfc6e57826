use std::time::Duration;

use scrapefleet_api::ItemId;

use super::*;
use crate::{BrowserFactory, Fault, Observation, PageState, Placement, SiteBrowser, Step};

const SECOND: Duration = Duration::from_secs(1);

async fn seen(browser: &mut Box<dyn SiteBrowser>, id: &ItemId) -> Observation {
    browser.probe().await.unwrap().items[id].clone()
}

#[tokio::test(start_paused = true)]
async fn an_item_lives_its_life_in_virtual_time() {
    let site = FakeSite::new();
    let life = Life::lasting(10 * SECOND).leaving("whole").at_first("part", SECOND);
    let item = site.add("a", life);
    let mut browser = site.bot_browser(0).await.unwrap();
    browser.open(&item, Placement::Ordinary).await.unwrap();
    let moving = Observation::Live { progress: "0".to_owned() };
    assert_eq!(seen(&mut browser, &item.id).await, moving);
    assert_eq!(browser.take(&item.id).await.unwrap_err().fault, Fault::NotFound);

    tokio::time::advance(10 * SECOND).await;
    assert_eq!(seen(&mut browser, &item.id).await, Observation::Ended);
    assert_eq!(browser.take(&item.id).await.unwrap(), "part");
    tokio::time::advance(SECOND).await;
    assert_eq!(browser.take(&item.id).await.unwrap(), "whole");
    browser.leave(&item.id).await.unwrap();
    assert_eq!(browser.probe().await.unwrap().items.len(), 0);
    assert_eq!(site.live(), 1);
    browser.close().await;
    assert_eq!(site.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crash_takes_the_shared_page_but_only_one_tab() {
    let site = FakeSite::new();
    let (bad, good) = (site.add("bad", Life::endless()), site.add("good", Life::endless()));
    site.mishap(Step::Open, &bad.id, Mishap::CrashesPage, 2);
    let mut browser = site.bot_browser(0).await.unwrap();
    browser.open(&good, Placement::Ordinary).await.unwrap();

    let crash = browser.open(&bad, Placement::Alone).await.unwrap_err();
    assert_eq!((crash.fault, crash.layer()), (Fault::PageCrashed, crate::Layer::Item));
    assert!(browser.probe().await.unwrap().items.contains_key(&good.id));

    let crash = browser.open(&bad, Placement::Ordinary).await.unwrap_err();
    assert_eq!((crash.fault, crash.layer()), (Fault::PageCrashed, crate::Layer::Browser));
    assert_eq!(browser.round_trip().await.unwrap_err().fault, Fault::PageCrashed);
}

#[tokio::test(start_paused = true)]
async fn a_tab_that_crashes_later_fails_alone() {
    let site = FakeSite::new().in_tabs();
    let (bad, good) = (site.add("bad", Life::endless()), site.add("good", Life::endless()));
    let mut browser = site.bot_browser(0).await.unwrap();
    browser.open(&bad, Placement::Ordinary).await.unwrap();
    browser.open(&good, Placement::Ordinary).await.unwrap();
    site.mishap(Step::Probe, &bad.id, Mishap::CrashesPage, 1);
    let probe = browser.probe().await.unwrap();
    assert_eq!(probe.failed.keys().collect::<Vec<_>>(), [&bad.id]);
    assert_eq!(probe.items.keys().collect::<Vec<_>>(), [&good.id]);
}

#[tokio::test(start_paused = true)]
async fn reload_loses_what_was_shared_until_it_is_opened_again() {
    let site = FakeSite::new();
    let item = site.add("a", Life::endless());
    let mut browser = site.bot_browser(0).await.unwrap();
    browser.open(&item, Placement::Ordinary).await.unwrap();
    site.disconnect(true);
    let page = browser.probe().await.unwrap().page;
    assert!(matches!(page, PageState::Disconnected { waiting: true, .. }));
    site.reconnect();
    browser.reload().await.unwrap();
    assert!(matches!(seen(&mut browser, &item.id).await, Observation::Lost { .. }));
    browser.open(&item, Placement::Ordinary).await.unwrap();
    assert!(matches!(seen(&mut browser, &item.id).await, Observation::Live { .. }));
    site.lose(&item.id);
    assert!(matches!(seen(&mut browser, &item.id).await, Observation::Lost { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_step_ends_at_its_deadline() {
    let site = FakeSite::new().with_step_deadline(3 * SECOND);
    let item = site.add("a", Life::endless());
    site.mishap(Step::Open, &item.id, Mishap::Hangs, 1);
    let mut browser = site.bot_browser(0).await.unwrap();
    let error = browser.open(&item, Placement::Ordinary).await.unwrap_err();
    assert_eq!((error.fault, error.elapsed), (Fault::Timeout, 3 * SECOND));
    browser.open(&item, Placement::Ordinary).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_cannot_start_says_so_as_often_as_told() {
    let site = FakeSite::new();
    site.refuse_to_start(2);
    for _ in 0..2 {
        assert_eq!(site.bot_browser(0).await.err().unwrap().fault, Fault::CannotStart);
    }
    assert!(site.bot_browser(0).await.is_ok());
    assert_eq!(site.live(), 0, "dropped browsers are closed");
}

#[tokio::test(start_paused = true)]
async fn the_list_shows_the_newest_that_are_there() {
    let site = FakeSite::new().showing(2);
    for id in ["a", "b", "c"] {
        site.add(id, Life::endless());
    }
    site.add("later", Life::lasting(9 * SECOND).appearing_after(SECOND));
    let mut list = site.list_page().await.unwrap();
    let shown = |window: crate::Window| window.items.iter().map(|i| i.id.to_string()).collect::<Vec<_>>();
    assert_eq!(shown(list.refresh().await.unwrap()), ["c", "b"]);
    tokio::time::advance(SECOND).await;
    assert_eq!(shown(list.refresh().await.unwrap()), ["later", "c"]);
    tokio::time::advance(9 * SECOND).await;
    assert_eq!(shown(list.refresh().await.unwrap()), ["c", "b"]);
    site.mishap_anywhere(Step::Refresh, Mishap::CrashesPage, 1);
    assert_eq!(list.refresh().await.unwrap_err().fault, Fault::PageCrashed);
    list.reload().await.unwrap();
    assert!(list.refresh().await.is_ok());
}
