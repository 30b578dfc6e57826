//! What the queue does, and what the watcher does about it.

use std::time::Duration;

use scrapefleet_browser::fake::FakeSite;
use scrapefleet_queue::TaskQueue as _;
use scrapefleet_watcher::WatcherState;

use crate::rig::{Mood, Rig, TestQueue, add, assert_published_once, ids};

const SECOND: Duration = Duration::from_secs(1);

/// For 30 s nothing can be queued, while more items come and go than the list shows. All of them are queued afterwards.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_while_the_queue_is_away() {
    for mood in [Mood::Fails, Mood::Hangs] {
        let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
        add(&site, 0, 100);
        let mut rig = Rig::start(site.clone(), &queue);
        rig.until(|status| status.discovered == 100).await;
        queue.set_mood(mood);
        for second in 0..30 {
            add(&site, 100 + second * 10, 10);
            tokio::time::sleep(SECOND).await;
        }
        let status = rig.status();
        assert_eq!((status.state, status.unpublished), (WatcherState::QueueUnreachable, 300), "{mood:?}");
        assert!(status.last_reason.is_some() && status.active);
        assert_eq!(rig.metric("unpublished"), 300);
        queue.set_mood(Mood::Answers);
        // At most one call that still hangs, and the longest pause.
        let caught_up = rig.until(|status| status.discovered == 400).await;
        assert!(caught_up <= 10 * SECOND, "{mood:?}: {caught_up:?}");
        assert_published_once(&queue, ids(0..400));
        assert_eq!((rig.status().state, rig.status().gaps), (WatcherState::Watching, 0));
        assert!((5..60).contains(&rig.metric("publish_failures_total")), "{mood:?}");
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_confirmation_is_a_repeat_and_no_second_task() {
    let (site, queue) = (FakeSite::new(), TestQueue::new());
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until_state(WatcherState::Watching).await;
    queue.set_mood(Mood::LosesConfirmations);
    add(&site, 0, 20);
    rig.until_state(WatcherState::QueueUnreachable).await;
    queue.set_mood(Mood::Answers);
    rig.until(|status| status.known == 20).await;
    assert_eq!(rig.status().discovered, 0);
    assert_eq!(queue.depth().await.unwrap().ready, 20);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_away_from_the_start_finds_all_that_was_seen() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    queue.set_mood(Mood::Fails);
    let mut rig = Rig::start(site.clone(), &queue);
    for minute in 0..5 {
        add(&site, minute * 100, 100);
        tokio::time::sleep(60 * SECOND).await;
    }
    assert_eq!(rig.status().state, WatcherState::QueueUnreachable);
    queue.set_mood(Mood::Answers);
    rig.until(|status| status.discovered == 500).await;
    assert_published_once(&queue, ids(0..500));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_is_queued_before_the_watcher_ends_if_the_queue_takes_it() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until_state(WatcherState::Watching).await;
    queue.set_mood(Mood::Fails);
    add(&site, 0, 50);
    rig.until(|status| status.unpublished == 50).await;
    queue.set_mood(Mood::Answers);
    assert!(rig.stop().await < SECOND);
    assert_published_once(&queue, ids(0..50));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_hangs_does_not_keep_the_watcher_from_ending() {
    let (site, queue) = (FakeSite::new(), TestQueue::new());
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until_state(WatcherState::Watching).await;
    queue.set_mood(Mood::Hangs);
    add(&site, 0, 50);
    rig.until(|status| status.unpublished == 50).await;
    assert!(rig.stop().await <= 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_fills_a_bounded_outbox_and_what_is_still_listed_is_queued_later() {
    let (site, queue) = (FakeSite::new().showing(200), TestQueue::new());
    let spec = scrapefleet_api::watcher::WatcherSpec { recent: 100, ..Default::default() };
    let mut rig = Rig::with(spec, site.clone(), &queue);
    rig.until_state(WatcherState::Watching).await;
    queue.set_mood(Mood::Fails);
    add(&site, 0, 150);
    rig.until(|status| status.unpublished == 100).await;
    assert!(rig.metric("deferred_total") >= 50);
    queue.set_mood(Mood::Answers);
    // With so little memory (a manifest cannot give less than a list shows) the oldest are queued again; none is lost.
    rig.until(|status| status.discovered == 150).await;
    assert_eq!(queue.depth().await.unwrap().ready, 150);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_fails_is_not_asked_in_a_loop() {
    let (site, queue) = (FakeSite::new(), TestQueue::new());
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until_state(WatcherState::Watching).await;
    queue.set_mood(Mood::Fails);
    add(&site, 0, 1);
    tokio::time::sleep(600 * SECOND).await;
    assert!((100..200).contains(&queue.attempts()), "{} attempts in 10 minutes", queue.attempts());
    rig.stop().await;
}
