//! Browsers that die or stop: each ends as the right class of fault, in time, and nothing is left behind.

use std::{process::Stdio, time::Duration};

use rustix::process::Signal;
use scrapefleet_browser::{
    BrowserFactory, Endpoint, Fault, Layer, LocalChrome, Placement, SiteBrowser, Step, recipe::RecipeFactory,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{
    site::App,
    support::{
        STEP, UNRESPONSIVE, all_gone, app_recipe, bot, descendants, factory, folder, item, lives, local,
        parent, renderers, settings, signal, timed, turn,
    },
};

/// Every process of a browser, its driver included.
fn tree(driver: u32) -> Vec<u32> {
    descendants(driver).into_iter().map(|(pid, _)| pid).chain([driver]).collect()
}

/// The fault of each call on a browser that is broken.
async fn faults(browser: &mut Box<dyn SiteBrowser>, site: &str, what: &str) -> Vec<Fault> {
    let room = item(site, "plain-9");
    let probe = timed(&format!("{what}: probe"), UNRESPONSIVE, browser.probe()).await.map(drop);
    let trip = timed(&format!("{what}: round trip"), UNRESPONSIVE, browser.round_trip()).await.map(drop);
    let open = timed(&format!("{what}: open"), UNRESPONSIVE, browser.open(&room, Placement::Ordinary)).await;
    let evidence = timed(&format!("{what}: evidence"), Duration::from_secs(6), browser.evidence(None)).await;
    assert_eq!(evidence.html, None, "{what}");
    [probe, trip, open]
        .into_iter()
        .map(|result| {
            let error = result.unwrap_err();
            assert_eq!(error.layer(), Layer::Browser, "{what}: {error}");
            error.fault
        })
        .collect()
}

#[tokio::test]
async fn a_stopped_chrome_answers_nothing_and_still_goes() {
    let _turn = turn().await;
    let app = App::start().await;
    let factory = factory(app_recipe(), &app.url);
    let mut browser = bot(&factory).await;
    browser.open(&item(&app.url, "plain-1"), Placement::Ordinary).await.unwrap();
    let driver = browser.process_id().unwrap();
    let (all, folder) = (tree(driver), folder(driver));
    for pid in all.iter().filter(|pid| **pid != driver) {
        signal(*pid, Signal::STOP);
    }
    assert_eq!(faults(&mut browser, &app.url, "SIGSTOP").await, [Fault::BrowserGone; 3]);
    timed("close a stopped Chrome", Duration::from_secs(5), browser.close()).await;
    all_gone(&all, Some(&folder), Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_page_whose_script_never_ends_answers_nothing() {
    let _turn = turn().await;
    let app = App::start().await;
    let factory = factory(app_recipe(), &app.url);
    let mut browser = bot(&factory).await;
    // The loop begins soon after the room is open.
    let opened =
        timed("open a loop", STEP, browser.open(&item(&app.url, "loop-1"), Placement::Ordinary)).await;
    if let Err(error) = opened {
        assert_eq!((error.fault, error.layer()), (Fault::Timeout, Layer::Browser), "{error}");
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(faults(&mut browser, &app.url, "endless loop").await, [Fault::Timeout; 3]);
    timed("close a looping Chrome", Duration::from_secs(5), browser.close()).await;
}

#[tokio::test]
async fn what_was_killed_is_gone() {
    let _turn = turn().await;
    let app = App::start().await;
    let factory = factory(app_recipe(), &app.url);

    let mut browser = bot(&factory).await;
    let driver = browser.process_id().unwrap();
    for pid in renderers(driver) {
        signal(pid, Signal::KILL);
    }
    assert_eq!(faults(&mut browser, &app.url, "renderer killed").await, [Fault::PageCrashed; 3]);
    let all = tree(driver);
    drop(browser);
    all_gone(&all, None, Duration::from_secs(5)).await;

    let mut browser = bot(&factory).await;
    let driver = browser.process_id().unwrap();
    let all = tree(driver);
    for pid in all.iter().filter(|pid| **pid != driver) {
        if lives(*pid) {
            signal(*pid, Signal::KILL);
        }
    }
    assert_eq!(faults(&mut browser, &app.url, "Chrome killed").await, [Fault::BrowserGone; 3]);
    drop(browser);
    all_gone(&all, None, Duration::from_secs(5)).await;

    let mut browser = bot(&factory).await;
    let driver = browser.process_id().unwrap();
    let (all, folder) = (tree(driver), folder(driver));
    signal(driver, Signal::KILL);
    assert_eq!(faults(&mut browser, &app.url, "driver killed").await, [Fault::BrowserGone; 3]);
    // Without its driver the guard has nothing to wait for: Chrome is gone before anybody asks.
    all_gone(&all, Some(&folder), Duration::from_secs(5)).await;
    drop(browser);
}

#[tokio::test]
async fn nothing_is_left_when_the_parent_is_killed() {
    let _turn = turn().await;
    // The parent is this program once more, with a browser of its own.
    let mut parent = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::parent_that_is_killed", "--nocapture"])
        .env("SCRAPEFLEET_TEST_PARENT", "1")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let driver: u32 = loop {
        let line = lines.next_line().await.unwrap().expect("the parent says which process the driver is");
        if let Some((_, id)) = line.split_once("driver is ") {
            break id.trim().parse().unwrap();
        }
    };
    let (all, folder) = (tree(driver), crate::support::folder(driver));
    assert!(all.len() > 4, "a whole Chrome: {all:?}");
    // One of them is stopped as well.
    signal(*all.first().unwrap(), Signal::STOP);
    signal(parent.id().unwrap(), Signal::KILL);
    all_gone(&all, Some(&folder), Duration::from_secs(5)).await;
}

/// Not a test by itself: the parent of the test above, which kills it.
#[tokio::test]
async fn parent_that_is_killed() {
    if std::env::var_os("SCRAPEFLEET_TEST_PARENT").is_none() {
        return;
    }
    let app = App::start().await;
    let factory = factory(app_recipe(), &app.url);
    let browser = bot(&factory).await;
    println!("\ndriver is {}", browser.process_id().unwrap());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn nothing_is_left_when_the_guard_is_killed() {
    let _turn = turn().await;
    let app = App::start().await;
    let factory = factory(app_recipe(), &app.url);
    for in_order in [true, false] {
        let mut browser = bot(&factory).await;
        let driver = browser.process_id().unwrap();
        let (guard, folder) = (parent(driver), folder(driver));
        let all: Vec<_> = descendants(guard).into_iter().map(|(pid, _)| pid).collect();
        assert!(all.len() > 4 && all.contains(&driver), "a whole Chrome: {all:?}");
        signal(guard, Signal::KILL);
        all_gone(&[guard], None, Duration::from_secs(5)).await;
        browser.round_trip().await.unwrap();
        if in_order {
            timed("close without a guard", Duration::from_secs(5), browser.close()).await;
            all_gone(&all, Some(&folder), Duration::from_secs(1)).await;
        } else {
            drop(browser);
            all_gone(&all, Some(&folder), Duration::from_secs(5)).await;
        }
    }
}

#[tokio::test]
async fn what_cannot_be_started_says_what_is_missing() {
    let app = App::start().await;
    let start = async |chrome: LocalChrome| {
        let mut settings = settings(serde_json::from_value(app_recipe()).unwrap(), &app.url);
        settings.endpoint = Endpoint::Local(chrome);
        let error = RecipeFactory::new(settings).unwrap().bot_browser(0).await.err().unwrap();
        assert_eq!(
            (error.step, error.fault, error.layer()),
            (Step::Launch, Fault::CannotStart, Layer::Browser)
        );
        error.message
    };
    let folder = tempfile::tempdir().unwrap();
    let base = || LocalChrome { folder: Some(folder.path().into()), ..local() };
    let message = start(LocalChrome { chrome: Some("/nowhere/chrome".into()), ..base() }).await;
    assert!(message.contains("apt-get install chromium chromium-driver"), "{message}");
    let message = start(LocalChrome { driver: Some("/bin/false".into()), ..base() }).await;
    assert!(message.contains("/bin/false ended at once"), "{message}");
    let _turn = turn().await;
    let message = start(LocalChrome { chrome: Some("/bin/false".into()), ..base() }).await;
    assert!(message.contains("session not created"), "{message}");
    let began = std::time::Instant::now();
    while folder.path().read_dir().unwrap().next().is_some() {
        assert!(began.elapsed() < Duration::from_secs(5), "a folder is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_driver_that_runs_already_is_rid_of_what_others_left_there() {
    let _turn = turn().await;
    let app = App::start().await;
    let folder = tempfile::tempdir().unwrap();
    // A guard around it, so that this test leaves nothing behind either.
    let mut sidecar = tokio::process::Command::new(env!("CARGO_BIN_EXE_browser-guard"))
        .arg("--folder")
        .arg(folder.path())
        .args(["--", "chromedriver", "--port=0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(sidecar.stdout.take().unwrap()).lines();
    let port: u16 = loop {
        let line = lines.next_line().await.unwrap().expect("the driver says its port");
        if let Some((_, port)) = line.split_once("successfully on port ") {
            break port.trim_end_matches('.').parse().unwrap();
        }
    };
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let mut settings = settings(serde_json::from_value(app_recipe()).unwrap(), &app.url);
    settings.endpoint =
        Endpoint::Remote { driver: format!("http://127.0.0.1:{port}").parse().unwrap(), no_sandbox: true };
    // Each process has one.
    let process = || RecipeFactory::new(settings.clone()).unwrap();
    let chromes = || {
        let all = descendants(sidecar.id().unwrap());
        all.into_iter()
            .filter(|(_, line)| line.contains("--headless=new") && !line.contains("--type="))
            .count()
    };

    let none = async |what: &str| {
        let began = std::time::Instant::now();
        while chromes() > 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "{what} goes on elsewhere");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut first = bot(&process()).await;
    first.open(&item(&app.url, "plain-1"), Placement::Ordinary).await.unwrap();
    assert_eq!((first.process_id(), first.memory().await), (None, None), "it is not seen from here");
    // A bot that died leaves its session; the next one ends it.
    std::mem::forget(first);
    let next = process();
    let second = bot(&next).await;
    assert_eq!(chromes(), 1);
    timed("close elsewhere", Duration::from_secs(5), second.close()).await;
    none("a closed browser").await;
    drop(bot(&next).await);
    none("a dropped browser").await;
    let id = sidecar.id().unwrap();
    drop(sidecar.stdin.take());
    timed("the guard ends", Duration::from_secs(5), sidecar.wait()).await.unwrap();
    all_gone(&[id], Some(folder.path()), Duration::from_secs(1)).await;
}
