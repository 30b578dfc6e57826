//! What every browser keeps to, the fake as well as a real Chrome: one suite, run against each.

use std::time::Duration;

use async_trait::async_trait;
use scrapefleet_policy::Instant;

use crate::{
    BrowserFactory, Fault, Item, Layer, Observation, PageState, Placement, Probe, SiteBrowser, StepError,
};

/// How long something that must come to be seen is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A site under test, its browsers, and the means to make things happen there.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Makes the browsers under test.
    fn factory(&self) -> &dyn BrowserFactory;

    /// Makes an item that goes on until [`Subject::end`], and lists it above all others.
    async fn make(&self, name: &str) -> Item;

    /// Ends an item; what it leaves is `artifact`.
    async fn end(&self, item: &Item, artifact: &str);

    /// The site has the item no more.
    async fn vanish(&self, item: &Item);

    /// Lets the next attempt to open this item fail for a reason that is the item's alone.
    async fn spoil(&self, item: &Item);

    /// Kills the renderer of the tab that was opened last, which holds `item` alone; `browser` is the process id.
    async fn crash(&self, browser: Option<u32>, item: &Item);

    /// How many browsers are running.
    async fn running(&self) -> usize;
}

/// Runs the whole suite.
///
/// # Panics
/// When the subject does not keep to the contract.
pub async fn run(subject: &dyn Subject) {
    an_item_is_opened_watched_taken_and_left(subject).await;
    an_item_that_the_site_lost_is_gone_with_proof(subject).await;
    what_cannot_be_opened_harms_nothing_else(subject).await;
    a_reload_loses_what_was_shared_until_it_is_opened_again(subject).await;
    an_item_alone_crashes_alone(subject).await;
    the_list_shows_the_newest_first(subject).await;
    assert_eq!(subject.running().await, 0, "a browser is left");
}

async fn an_item_is_opened_watched_taken_and_left(subject: &dyn Subject) {
    let mut browser = start(subject).await;
    let (one, two) = (subject.make("first-1").await, subject.make("first-2").await);
    ok(browser.open(&one, Placement::Ordinary).await);
    ok(browser.open(&two, Placement::Ordinary).await);
    let probe = ok(browser.probe().await);
    assert_eq!(
        (&probe.page, probe.items.len(), probe.failed.len()),
        (&PageState::Connected, 2, 0),
        "{probe:?}"
    );
    assert!(is_live(&probe, &one) && is_live(&probe, &two), "{probe:?}");
    assert_eq!(layer(browser.take(&one.id).await), Layer::Item, "nothing can be taken before the end");

    ok(browser.open(&one, Placement::Ordinary).await);
    assert_eq!(ok(browser.probe().await).items.len(), 2, "opening again what is open changes nothing");

    subject.end(&one, "what is left").await;
    until(&mut browser, |probe| probe.items.get(&one.id) == Some(&Observation::Ended)).await;
    assert_eq!(ok(browser.take(&one.id).await), "what is left");
    assert_eq!(ok(browser.take(&one.id).await), "what is left", "taking changes nothing");
    ok(browser.leave(&one.id).await);
    ok(browser.leave(&one.id).await);
    let probe = ok(browser.probe().await);
    assert!(!probe.items.contains_key(&one.id) && is_live(&probe, &two), "{probe:?}");
    assert_eq!(layer(browser.take(&one.id).await), Layer::Item, "what was left cannot be taken");
    ok(browser.round_trip().await);
    assert!(browser.evidence(Some(&two.id)).await.html.is_some());
    browser.close().await;
    assert_eq!(subject.running().await, 0, "closing waits until the browser is gone");
}

async fn an_item_that_the_site_lost_is_gone_with_proof(subject: &dyn Subject) {
    let mut browser = start(subject).await;
    let (before, after) = (subject.make("lost-1").await, subject.make("lost-2").await);
    subject.vanish(&before).await;
    ok(browser.open(&before, Placement::Ordinary).await);
    ok(browser.open(&after, Placement::Ordinary).await);
    subject.vanish(&after).await;
    let gone = |probe: &Probe, item: &Item| matches!(probe.items.get(&item.id), Some(Observation::Gone { proof }) if !proof.is_empty());
    until(&mut browser, |probe| gone(probe, &before) && gone(probe, &after)).await;
    browser.close().await;
}

async fn what_cannot_be_opened_harms_nothing_else(subject: &dyn Subject) {
    let mut browser = start(subject).await;
    let (good, bad) = (subject.make("good-1").await, subject.make("bad-1").await);
    ok(browser.open(&good, Placement::Ordinary).await);
    subject.spoil(&bad).await;
    assert_eq!(layer(browser.open(&bad, Placement::Ordinary).await), Layer::Item);
    let probe = ok(browser.probe().await);
    assert!(is_live(&probe, &good) && !probe.items.contains_key(&bad.id), "{probe:?}");
    assert!(browser.evidence(Some(&bad.id)).await.html.is_some(), "what was seen of it is kept");
    ok(browser.leave(&bad.id).await);
    drop(browser);
    stopped(subject).await;
}

async fn a_reload_loses_what_was_shared_until_it_is_opened_again(subject: &dyn Subject) {
    let mut browser = start(subject).await;
    let (shared, alone) = (subject.make("reload-1").await, subject.make("reload-2").await);
    ok(browser.open(&shared, Placement::Ordinary).await);
    ok(browser.open(&alone, Placement::Alone).await);
    ok(browser.reload().await);
    let probe = ok(browser.probe().await);
    assert!(matches!(probe.items.get(&shared.id), Some(Observation::Lost { .. })), "{probe:?}");
    assert!(is_live(&probe, &alone), "{probe:?}");
    ok(browser.open(&shared, Placement::Ordinary).await);
    let probe = ok(browser.probe().await);
    assert!(is_live(&probe, &shared) && is_live(&probe, &alone), "{probe:?}");
    browser.close().await;
}

async fn an_item_alone_crashes_alone(subject: &dyn Subject) {
    let mut browser = start(subject).await;
    let (shared, alone) = (subject.make("crash-1").await, subject.make("crash-2").await);
    ok(browser.open(&shared, Placement::Ordinary).await);
    ok(browser.open(&alone, Placement::Alone).await);
    subject.crash(browser.process_id(), &alone).await;
    let probe = until(&mut browser, |probe| probe.failed.contains_key(&alone.id)).await;
    let error = &probe.failed[&alone.id];
    assert_eq!((error.fault, error.layer()), (Fault::PageCrashed, Layer::Item), "{error}");
    assert!(is_live(&probe, &shared) && !probe.items.contains_key(&alone.id), "{probe:?}");
    ok(browser.leave(&alone.id).await);
    assert!(ok(browser.probe().await).failed.is_empty());
    ok(browser.open(&alone, Placement::Alone).await);
    assert!(is_live(&ok(browser.probe().await), &alone), "it can be opened again");
    browser.close().await;
}

async fn the_list_shows_the_newest_first(subject: &dyn Subject) {
    let mut list = ok(subject.factory().list_page().await);
    let (older, newer) = (subject.make("list-1").await, subject.make("list-2").await);
    let window = ok(list.refresh().await);
    assert_eq!(window.items[..2], [newer, older]);
    ok(list.reload().await);
    assert_eq!(ok(list.refresh().await).items, window.items);
    list.close().await;
}

async fn start(subject: &dyn Subject) -> Box<dyn SiteBrowser> {
    let browser = ok(subject.factory().bot_browser(0).await);
    assert_eq!(subject.running().await, 1);
    browser
}

/// Waits until no browser is running: a dropped one goes without being waited for.
async fn stopped(subject: &dyn Subject) {
    let began = Instant::now();
    while subject.running().await > 0 {
        assert!(began.elapsed() < PATIENCE, "a dropped browser goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Probes until `wanted`.
async fn until(browser: &mut Box<dyn SiteBrowser>, wanted: impl Fn(&Probe) -> bool) -> Probe {
    let began = Instant::now();
    loop {
        let probe = ok(browser.probe().await);
        if wanted(&probe) {
            return probe;
        }
        assert!(began.elapsed() < PATIENCE, "it stays {probe:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_live(probe: &Probe, item: &Item) -> bool {
    matches!(probe.items.get(&item.id), Some(Observation::Live { .. }))
}

fn ok<T>(result: Result<T, StepError>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn layer<T>(result: Result<T, StepError>) -> Layer {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error.layer(),
    }
}
