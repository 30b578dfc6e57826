//! One active watcher, and others that stand by.

use std::time::Duration;

use scrapefleet_browser::fake::FakeSite;
use scrapefleet_queue::TaskQueue as _;
use scrapefleet_watcher::WatcherState;

use crate::rig::{Mood, Rig, TestQueue, add, ids};

const SECOND: Duration = Duration::from_secs(1);

/// Two watchers, the first one active, both with 50 items seen.
async fn pair(site: &FakeSite, queue: &TestQueue) -> (Rig, Rig) {
    add(site, 0, 50);
    let mut active = Rig::start(site.clone(), queue);
    active.until(|status| status.discovered == 50).await;
    let mut standby = Rig::start(site.clone(), queue);
    standby.until_state(WatcherState::Standby).await;
    (active, standby)
}

#[tokio::test(start_paused = true)]
async fn a_standby_keeps_the_list_open_and_queues_nothing() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    let (mut active, standby) = pair(&site, &queue).await;
    add(&site, 50, 10);
    active.until(|status| status.discovered == 60).await;
    let looks = standby.status().refreshes;
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(queue.published().len(), 60);
    let status = standby.status();
    assert!(status.refreshes >= looks + 25 && status.window == 60 && !status.active);
    assert_eq!((standby.metric("active"), active.metric("active")), (0, 1));
    active.stop().await;
    standby.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_in_under_two_seconds_and_queues_what_it_has_seen() {
    for orderly in [true, false] {
        let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
        let (active, mut standby) = pair(&site, &queue).await;
        if orderly {
            active.stop().await;
        } else {
            active.kill().await;
        }
        add(&site, 50, 10);
        let took =
            standby.until(|status| status.state == WatcherState::Watching && status.discovered == 10).await;
        assert!(took < 2 * SECOND, "{took:?}");
        // The window is queued once more; the queue knows it.
        assert_eq!(standby.status().known, 50);
        assert_eq!(queue.depth().await.unwrap().ready, 60);
        standby.stop().await;
    }
}

/// The queue notices the death of the active watcher only after 20 s. Meanwhile items come and go.
#[tokio::test(start_paused = true)]
async fn what_came_and_went_before_the_lock_was_free_is_queued_at_the_take_over() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    add(&site, 0, 50);
    let dead = queue.try_lock("watcher").await.unwrap().unwrap();
    let mut standby = Rig::start(site.clone(), &queue);
    standby.until_state(WatcherState::Standby).await;
    for second in 0..20 {
        add(&site, 50 + second * 20, 20);
        tokio::time::sleep(SECOND).await;
    }
    drop(dead);
    let took = standby.until(|status| status.discovered == 450).await;
    assert!(took < 2 * SECOND, "{took:?}");
    assert_eq!(queue.published(), ids(0..450));
    assert_eq!(standby.status().gaps, 0);
    standby.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_loses_the_lock_takes_it_again_and_loses_nothing() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    add(&site, 0, 50);
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until(|status| status.discovered == 50).await;
    queue.set_mood(Mood::Fails);
    queue.lose_locks();
    rig.until(|status| !status.active).await;
    for round in 0..10 {
        add(&site, 50 + round * 40, 40);
        tokio::time::sleep(10 * SECOND).await;
    }
    queue.set_mood(Mood::Answers);
    rig.until(|status| status.active && status.discovered == 450).await;
    assert_eq!(queue.depth().await.unwrap().ready, 450);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn there_is_one_active_watcher_at_a_time() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    add(&site, 0, 10);
    let mut rigs: Vec<_> = (0..4).map(|_| Rig::start(site.clone(), &queue)).collect();
    while let Some(mut last) = rigs.pop() {
        last.until(|status| matches!(status.state, WatcherState::Watching | WatcherState::Standby)).await;
        tokio::time::sleep(SECOND).await;
        rigs.push(last);
        let active = rigs.iter().filter(|rig| rig.status().active).count();
        assert_eq!(active, 1, "of {}", rigs.len());
        let at = rigs.iter().position(|rig| rig.status().active).unwrap();
        rigs.remove(at).kill().await;
    }
}
