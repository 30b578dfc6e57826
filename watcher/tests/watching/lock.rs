//! One active watcher, and others that stand by.

use std::time::Duration;

use scrapefleet_api::watcher::WatcherSpec;
use scrapefleet_browser::{
    Step,
    fake::{FakeSite, Mishap},
};
use scrapefleet_queue::TaskQueue as _;
use scrapefleet_watcher::{WatcherState, WatcherStatus};

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

/// Each watcher has a site of its own, so that one can be struck; both sites show the same.
#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_in_under_two_seconds_from_one_whose_browser_hangs_or_dies() {
    for mishap in [Mishap::Hangs, Mishap::KillsBrowser, Mishap::CrashesPage] {
        let [struck, sound] = [(), ()].map(|()| FakeSite::new().showing(100).with_step_deadline(3 * SECOND));
        for site in [&struck, &sound] {
            add(site, 0, 50);
        }
        let queue = TestQueue::new();
        let mut active = Rig::start(struck.clone(), &queue);
        active.until(|status| status.discovered == 50).await;
        let mut standby = Rig::start(sound.clone(), &queue);
        standby.until_state(WatcherState::Standby).await;
        // The next browser is long in coming.
        struck.refuse_to_start(10);
        struck.mishap_anywhere(Step::Refresh, mishap, 1);
        let noticed = active.until_state(WatcherState::Repairing).await;
        assert!(noticed <= 4 * SECOND, "{mishap:?}: {noticed:?}");
        for site in [&struck, &sound] {
            add(site, 50, 10);
        }
        let took =
            standby.until(|status| status.state == WatcherState::Watching && status.discovered == 10).await;
        assert!(took < 2 * SECOND, "{mishap:?}: {took:?}");
        // The other stands by as soon as it can, and for good.
        active.until_state(WatcherState::Standby).await;
        tokio::time::sleep(60 * SECOND).await;
        assert!(standby.status().active && !active.status().active, "{mishap:?}");
        assert_eq!(queue.depth().await.unwrap().ready, 60);
        assert_eq!((standby.status().gaps, active.status().gaps), (0, 0));
        active.stop().await;
        standby.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn watchers_that_are_all_blind_do_not_pass_the_lead_to_and_fro() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    let (mut one, mut other) = pair(&site, &queue).await;
    site.refuse_to_start(16);
    site.mishap_anywhere(Step::Refresh, Mishap::KillsBrowser, 2);
    one.until_state(WatcherState::Repairing).await;
    other.until_state(WatcherState::Repairing).await;
    // The second may have had it for a moment.
    tokio::time::sleep(2 * SECOND).await;
    add(&site, 50, 10);
    let repairing = |rig: &Rig| rig.status().state == WatcherState::Repairing;
    let mut looks = 0;
    while repairing(&one) && repairing(&other) {
        assert!(!one.status().active && !other.status().active);
        tokio::time::sleep(SECOND / 10).await;
        looks += 1;
    }
    assert!(looks > 20, "{looks}");
    // Who sees first is the active one.
    let seen = |status: &WatcherStatus| status.active && status.unpublished == 0;
    let took = tokio::select! {
        took = one.until(seen) => took,
        took = other.until(seen) => took,
    };
    assert!(took < 2 * SECOND, "{took:?}");
    assert_eq!(queue.depth().await.unwrap().ready, 60);
    one.stop().await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_stands_by_keeps_the_lead_whatever_its_browser_does() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    add(&site, 0, 50);
    let spec = WatcherSpec { standby: false, ..WatcherSpec::default() };
    let mut rig = Rig::with(spec, site.clone(), &queue);
    rig.until(|status| status.discovered == 50).await;
    site.mishap_anywhere(Step::Refresh, Mishap::KillsBrowser, 1);
    rig.until(|status| {
        assert!(status.active, "{status:?}");
        status.repairs == 1 && status.state == WatcherState::Watching
    })
    .await;
    rig.stop().await;
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
