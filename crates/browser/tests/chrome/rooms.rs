//! Many items inside one page.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use scrapefleet_browser::{Fault, Layer, Observation, PageState, Placement, Step};

use crate::{
    site::App,
    support::{STEP, UNRESPONSIVE, app_recipe, bot, factory, item, observe, timed, turn, until},
};

#[tokio::test]
async fn rooms_are_opened_probed_together_taken_and_left() {
    let _turn = turn().await;
    let app = App::start().await;
    let factory = factory(app_recipe(), &app.url);
    let mut browser = bot(&factory).await;
    let [plain, ends, slow, alert, popup, saves] =
        ["plain-1", "ends-1", "slow-1", "alert-1", "popup-1", "saves-1"].map(|id| item(&app.url, id));
    for room in [&plain, &ends, &slow, &alert, &popup, &saves] {
        timed(room.id.as_str(), STEP, browser.open(room, Placement::Ordinary)).await.unwrap();
    }
    let live = Observation::Live { progress: "2".to_owned() };
    for room in [&plain, &slow, &alert, &popup, &saves] {
        assert_eq!(observe(&mut browser, &room.id).await, live);
    }
    until(&mut browser, &ends.id, |seen| *seen == Observation::Ended).await;
    let log = timed("take", STEP, browser.take(&ends.id)).await.unwrap();
    assert_eq!(log, "one\ntwo\nthrée".as_bytes(), "the second way, the first finds nothing");
    timed("leave", STEP, browser.leave(&ends.id)).await.unwrap();
    let probe = timed("probe", UNRESPONSIVE, browser.probe()).await.unwrap();
    assert_eq!(probe.page, PageState::Connected);
    assert_eq!((probe.items.len(), probe.failed.len(), probe.throttled), (5, 0, false));
    assert!(!probe.items.contains_key(&ends.id));
    assert_eq!(app.state.loads.load(SeqCst), 1, "popups are not opened, everything is in one page");
    let began = std::time::Instant::now();
    let memory = browser.memory().await.unwrap();
    println!("memory of 5 rooms: {} MiB, seen in {:.1?}", memory >> 20, began.elapsed());
    let browsers = crate::support::folder(browser.process_id().unwrap());
    let home = std::path::PathBuf::from(std::env::var_os("HOME").unwrap()).join("Downloads");
    assert_eq!(files_called("scrapefleet-stray.bin", &[browsers, home]), 0, "nothing is downloaded");
    browser.close().await;
}

/// A step that is sure to fail need not be waited for as long as others.
const SHORT: Duration = Duration::from_secs(4);

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let _turn = turn().await;
    let app = App::start().await;
    let mut settings = crate::support::settings(serde_json::from_value(app_recipe()).unwrap(), &app.url);
    settings.deadlines.step.hard = SHORT;
    let factory = scrapefleet_browser::recipe::RecipeFactory::new(settings).unwrap();
    let mut browser = bot(&factory).await;

    // The item's own page says that it is gone: opening it succeeds, the probe has the proof.
    let gone = item(&app.url, "gone-1");
    browser.open(&gone, Placement::Ordinary).await.unwrap();
    let proof = Observation::Gone { proof: "gone-1 has expired".to_owned() };
    assert_eq!(observe(&mut browser, &gone.id).await, proof);
    browser.leave(&gone.id).await.unwrap();

    // A notice that names no item counts for the item that is being opened, and not for the next.
    let ghost = item(&app.url, "ghost-1");
    browser.open(&ghost, Placement::Ordinary).await.unwrap();
    let proof = Observation::Gone { proof: "This room has expired".to_owned() };
    assert_eq!(observe(&mut browser, &ghost.id).await, proof);
    let plain = item(&app.url, "plain-1");
    browser.open(&plain, Placement::Ordinary).await.unwrap();
    assert!(matches!(observe(&mut browser, &plain.id).await, Observation::Live { .. }));

    for (id, fault, part, shown) in [
        ("never-1", Fault::NotFound, "the item is not there", false),
        ("shut-1", Fault::NotFound, "the item is there, but not open", true),
        ("throws-1", Fault::Script, "item.enter: no such method", true),
    ] {
        let room = item(&app.url, id);
        let error = timed(id, SHORT, browser.open(&room, Placement::Ordinary)).await.unwrap_err();
        assert_eq!((error.step, error.fault, error.layer()), (Step::Open, fault, Layer::Item), "{error}");
        assert!(error.message.contains(part), "{error}");
        assert!(error.url.starts_with(&app.url), "{error}");
        // What the page showed is kept, though the item is left.
        let contains = |page: &[u8]| String::from_utf8_lossy(page).contains(&format!("room-{id}"));
        let (kept, now) = (browser.evidence(Some(&room.id)).await.html, browser.evidence(None).await.html);
        assert_eq!((contains(&kept.unwrap()), contains(&now.unwrap())), (shown, false), "{id}");
    }
    let error = browser.open(&item(&app.url, "never-2"), Placement::Ordinary).await.unwrap_err();
    assert_eq!(error.selector.as_deref(), Some(".room:not(.shut)"));
    assert!(observe(&mut browser, &plain.id).await == Observation::Live { progress: "2".to_owned() });
    assert_eq!(browser.probe().await.unwrap().items.len(), 2, "what was not opened is not held");

    let elsewhere = scrapefleet_browser::Item {
        url: "http://127.0.0.1:1/room/plain-2".to_owned(),
        ..item(&app.url, "plain-2")
    };
    let error = browser.open(&elsewhere, Placement::Alone).await.unwrap_err();
    assert_eq!((error.fault, error.layer()), (Fault::Unusable, Layer::Item), "{error}");
    browser.close().await;
}

#[tokio::test]
async fn the_page_says_when_it_is_cut_off_too_fast_or_refused() {
    let _turn = turn().await;
    let app = App::start().await;
    let factory = factory(app_recipe(), &app.url);
    let mut browser = bot(&factory).await;
    let plain = item(&app.url, "plain-1");
    browser.open(&plain, Placement::Ordinary).await.unwrap();

    browser.open(&item(&app.url, "throttle-1"), Placement::Ordinary).await.unwrap();
    assert!(browser.probe().await.unwrap().throttled);
    assert!(!browser.probe().await.unwrap().throttled, "an old notice is no news");

    // Entering the room also shows the modal; the room itself is open.
    browser.open(&item(&app.url, "cut-1"), Placement::Ordinary).await.unwrap();
    let PageState::Disconnected { why, waiting } = browser.probe().await.unwrap().page else {
        panic!("the modal is not seen");
    };
    assert_eq!((why.as_str(), waiting), ("You have been disconnected", true));
    let began = scrapefleet_policy::Instant::now();
    while !matches!(browser.probe().await.unwrap().page, PageState::Disconnected { waiting: false, .. }) {
        assert!(began.elapsed() < STEP, "it is waited for without end");
    }
    let error = browser.open(&item(&app.url, "plain-2"), Placement::Ordinary).await.unwrap_err();
    assert_eq!((error.fault, error.layer()), (Fault::SiteUnreachable, Layer::Site), "{error}");

    timed("reload", STEP, browser.reload()).await.unwrap();
    let probe = browser.probe().await.unwrap();
    assert_eq!(probe.page, PageState::Connected);
    assert!(probe.items.values().all(|seen| matches!(seen, Observation::Lost { .. })), "{probe:?}");
    assert_eq!(probe.items.len(), 3);
    browser.open(&plain, Placement::Ordinary).await.unwrap();
    assert!(matches!(observe(&mut browser, &plain.id).await, Observation::Live { .. }));

    // The site puts another page in place of ours.
    browser.open(&item(&app.url, "away-1"), Placement::Ordinary).await.unwrap();
    let lost = until(&mut browser, &plain.id, |seen| matches!(seen, Observation::Lost { .. })).await;
    assert!(format!("{lost:?}").contains("/elsewhere"), "{lost:?}");
    assert!(matches!(browser.probe().await.unwrap().page, PageState::Disconnected { .. }));
    timed("reload after navigation", STEP, browser.reload()).await.unwrap();

    // The page reloads itself: it is ready again, its items are not in it.
    browser.open(&plain, Placement::Ordinary).await.unwrap();
    browser.open(&item(&app.url, "again-1"), Placement::Ordinary).await.unwrap();
    until(&mut browser, &plain.id, |seen| matches!(seen, Observation::Lost { .. })).await;
    assert_eq!(browser.probe().await.unwrap().page, PageState::Connected);
    browser.open(&plain, Placement::Ordinary).await.unwrap();
    assert!(matches!(observe(&mut browser, &plain.id).await, Observation::Live { .. }));

    browser.open(&item(&app.url, "wall-1"), Placement::Ordinary).await.unwrap();
    let page = browser.probe().await.unwrap().page;
    assert_eq!(page, PageState::Unavailable { why: "Please log in".to_owned() });
    let evidence = browser.evidence(None).await;
    assert!(evidence.screenshot.unwrap().starts_with(b"\x89PNG"));
    assert!(String::from_utf8_lossy(&evidence.html.unwrap()).contains("Please log in"));
    browser.close().await;
}

#[tokio::test]
async fn a_page_that_does_not_come_back_by_itself_is_not_waited_for() {
    let _turn = turn().await;
    let app = App::start().await;
    let mut recipe = app_recipe();
    recipe["page"]["reconnectsWithin"] = "10m".into();
    recipe["page"]["reconnectsWhen"] = serde_json::json!({ "selector": "#rooms .modal.brief" });
    let factory = factory(recipe, &app.url);
    let mut browser = bot(&factory).await;
    let (cut, brief) = (item(&app.url, "cut-1"), item(&app.url, "brief-1"));
    for (room, comes_back) in [(&cut, false), (&brief, true)] {
        browser.open(room, Placement::Ordinary).await.unwrap();
        let page = browser.probe().await.unwrap().page;
        assert!(matches!(page, PageState::Disconnected { waiting, .. } if waiting == comes_back), "{page:?}");
        timed("reload", STEP, browser.reload()).await.unwrap();
        browser.open(room, Placement::Alone).await.unwrap();
        let lost = matches!(observe(&mut browser, &room.id).await, Observation::Lost { .. });
        assert_eq!(lost, !comes_back, "{}", room.id);
    }
    browser.close().await;
}

#[tokio::test]
async fn every_way_to_take_gives_what_it_says() {
    let _turn = turn().await;
    let app = App::start().await;
    let mut recipe = app_recipe();
    recipe["item"]["take"] = serde_json::json!([{ "download": "a.file" }, { "html": "h2" }]);
    let bytes = factory(recipe.clone(), &app.url);
    let mut browser = bot(&bytes).await;
    for (id, taken) in [
        ("ends-1", &[0, 159, 146, 150][..]),
        ("ends-missing", b"<h2>ends-missing</h2>"),
        ("ends-big", b"<h2>ends-big</h2>"),
    ] {
        let room = item(&app.url, id);
        browser.open(&room, Placement::Ordinary).await.unwrap();
        until(&mut browser, &room.id, |seen| *seen == Observation::Ended).await;
        assert_eq!(timed(id, STEP, browser.take(&room.id)).await.unwrap(), taken, "{id}");
    }
    let room = item(&app.url, "plain-1");
    browser.open(&room, Placement::Ordinary).await.unwrap();
    browser.close().await;

    recipe["item"]["take"] =
        serde_json::json!([{ "attribute": { "selector": "h2", "name": "title" } }, { "text": ".no" }]);
    let nothing = factory(recipe, &app.url);
    let mut browser = bot(&nothing).await;
    browser.open(&room, Placement::Ordinary).await.unwrap();
    let error = browser.take(&room.id).await.unwrap_err();
    assert_eq!((error.step, error.fault), (Step::Take, Fault::Unusable));
    assert_eq!(error.message, "h2: gives nothing; .no: not found");
    let error = browser.take(&item(&app.url, "other-1").id).await.unwrap_err();
    assert_eq!(error.fault, Fault::NotFound, "{error}");
    browser.close().await;
}

#[tokio::test]
async fn a_recipe_that_is_wrong_is_named_before_anything_is_opened() {
    let _turn = turn().await;
    let app = App::start().await;
    let mut recipe = app_recipe();
    recipe["item"]["enter"] = "app.join(".into();
    recipe["item"]["doneWhen"]["selector"] = "a[".into();
    let factory = factory(recipe, &app.url);
    let error = scrapefleet_browser::BrowserFactory::bot_browser(&factory, 0).await.err().unwrap();
    assert_eq!((error.step, error.fault), (Step::Launch, Fault::Script));
    assert!(
        error.message.contains("item.enter: ") && error.message.contains("item.doneWhen: not a selector: a["),
        "{error}"
    );
    assert_eq!(app.state.loads.load(SeqCst), 0);
}

/// How many files of that name are below some folders.
fn files_called(name: &str, folders: &[std::path::PathBuf]) -> usize {
    let (mut found, mut next) = (0, folders.to_vec());
    while let Some(folder) = next.pop() {
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            found += usize::from(entry.file_name().to_string_lossy().starts_with(name));
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                next.push(entry.path());
            }
        }
    }
    found
}
