//! What happens to the list, and what the watcher does about it.

use std::time::Duration;

use scrapefleet_browser::{
    Fault, Step,
    fake::{FakeSite, Mishap, What},
};
use scrapefleet_watcher::WatcherState;

use crate::rig::{Rig, TestQueue, add, assert_published_once, id, ids};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_is_listed_is_queued_once_oldest_first_with_all_that_a_bot_needs() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    add(&site, 0, 30);
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until(|status| status.discovered == 30).await;
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(queue.published(), ids(0..30));
    let task = &queue.tasks()[7];
    assert_eq!(
        (task.url.as_str(), task.lane.as_str()),
        (format!("http://fake.test/{}", id(7)).as_str(), "default")
    );
    assert_eq!((task.schema_version, task.attempt, task.fleet.as_str()), (1, 1, "fleet"));
    let status = rig.status();
    assert_eq!(
        (status.state, status.active, status.window, status.gaps),
        (WatcherState::Watching, true, 30, 0)
    );
    assert_eq!((rig.metric("discovered_total"), rig.metric("overlap"), rig.metric("active")), (30, 30, 1));
    rig.stop().await;
    assert_eq!(site.live(), 0, "the browser is closed");
}

#[tokio::test(start_paused = true)]
async fn a_burst_between_two_looks_is_queued_whole_and_is_no_gap() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    add(&site, 0, 100);
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until(|status| status.discovered == 100).await;
    add(&site, 100, 60);
    rig.until(|status| status.discovered == 160).await;
    add(&site, 160, 99);
    rig.until(|status| status.discovered == 259).await;
    assert_published_once(&queue, ids(0..259));
    assert_eq!(rig.status().gaps, 0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_overrun_is_one_gap_and_quickens_the_pace() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    add(&site, 0, 100);
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until(|status| status.discovered == 100).await;
    let before = rig.status().pause_ms;
    add(&site, 100, 130);
    rig.until(|status| status.gaps == 1).await;
    assert!(rig.status().pause_ms < before);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!((rig.status().gaps, rig.metric("gaps_total")), (1, 1));
    // What the list still showed is queued; what it had pushed out nobody could see.
    assert_published_once(&queue, ids(0..100).into_iter().chain(ids(130..230)));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn items_that_all_ended_are_no_gap() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    add(&site, 0, 20);
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until(|status| status.discovered == 20).await;
    for number in 0..20 {
        site.unlist(&id(number).parse().unwrap());
    }
    rig.until(|status| status.window == 0).await;
    add(&site, 20, 10);
    rig.until(|status| status.discovered == 30).await;
    assert_eq!(rig.status().gaps, 0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn older_items_that_move_up_are_no_gap() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    let mut rig = Rig::start(site.clone(), &queue);
    for count in [60, 120, 180, 240] {
        add(&site, count - 60, 60);
        rig.until(|status| status.discovered == count as u64).await;
    }
    // The whole window ends; what is shown instead was seen before, though not in the window before.
    for number in 140..240 {
        site.unlist(&id(number).parse().unwrap());
    }
    rig.until(|status| status.pause_ms < 300).await;
    assert_eq!((rig.metric("overlap"), rig.status().window, rig.status().gaps), (0, 100, 0));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_item_that_comes_back_is_not_queued_again() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    add(&site, 0, 3);
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until(|status| status.discovered == 3).await;
    site.unlist(&id(1).parse().unwrap());
    rig.until(|status| status.window == 2).await;
    add(&site, 1, 1);
    rig.until(|status| status.window == 3).await;
    assert_published_once(&queue, ids(0..3));
    rig.stop().await;
}

/// Each kind of failure, with how long it may take until the list answers again. A step's deadline is 15 s.
#[tokio::test(start_paused = true)]
async fn a_list_that_fails_is_repaired_in_time_and_nothing_is_missed() {
    let table = [
        ("a modal", Mishap::Fails(Fault::Unusable), 1, "Unusable", "Reload", SECOND),
        ("no item and no empty list", Mishap::Fails(Fault::NotFound), 1, "NotFound", "Reload", SECOND),
        (
            "a modal that a reload does not close",
            Mishap::Fails(Fault::Unusable),
            2,
            "Unusable",
            "Replace",
            2 * SECOND,
        ),
        ("the page crashed", Mishap::CrashesPage, 1, "PageCrashed", "Rebuild", 2 * SECOND),
        ("the browser died", Mishap::KillsBrowser, 1, "BrowserGone", "Rebuild", 2 * SECOND),
        ("the browser hangs", Mishap::Hangs, 1, "Timeout", "Rebuild", 17 * SECOND),
    ];
    for (what, mishap, times, fault, remedy, bound) in table {
        let (site, queue) = (FakeSite::new().showing(100).with_latency(SECOND / 20), TestQueue::new());
        add(&site, 0, 50);
        let mut rig = Rig::start(site.clone(), &queue);
        rig.until(|status| status.discovered == 50).await;
        site.mishap_anywhere(Step::Refresh, mishap, times);
        rig.until(|status| status.repairs > 0).await;
        add(&site, 50, 40);
        let blind = rig.until(|status| status.discovered == 90).await;
        assert!(blind <= bound, "{what}: {blind:?}");
        let repairs = format!("repairs_total{{fault=\"{fault}\",remedy=\"{remedy}\"}}");
        assert_eq!(rig.metric(&repairs), 1, "{what}");
        assert_eq!(rig.status().repairs, u64::from(times), "{what}");
        assert_published_once(&queue, ids(0..90));
        assert_eq!((rig.status().gaps, site.live()), (0, 1), "{what}");
        rig.stop().await;
        assert_eq!(site.live(), 0, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_that_is_down_for_long_is_asked_rarely_and_costs_one_browser() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    add(&site, 0, 10);
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until(|status| status.discovered == 10).await;
    site.mishap_anywhere(Step::Refresh, Mishap::Fails(Fault::SiteUnreachable), 200);
    tokio::time::sleep(Duration::from_mins(10)).await;
    let count = |what: &What| site.events().iter().filter(|event| event.what == *what).count();
    assert_eq!(count(&What::Started), 2, "one browser replaced");
    assert!((100..200).contains(&count(&What::Reloaded)), "{} reloads in 10 minutes", count(&What::Reloaded));
    let status = rig.status();
    assert_eq!(status.state, WatcherState::Repairing);
    assert!(status.last_reason.unwrap().contains("SiteUnreachable"));
    add(&site, 10, 10);
    rig.until(|status| status.discovered == 20).await;
    assert_eq!(rig.status().state, WatcherState::Watching);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_site_that_no_new_browser_reaches_either_keeps_the_old_one() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    add(&site, 0, 10);
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until(|status| status.discovered == 10).await;
    for step in [Step::Refresh, Step::Launch, Step::Load] {
        site.mishap_anywhere(step, Mishap::Fails(Fault::SiteUnreachable), 100);
    }
    tokio::time::sleep(Duration::from_mins(5)).await;
    let count = |what: &What| site.events().iter().filter(|event| event.what == *what).count();
    assert_eq!((count(&What::Started), count(&What::NotStarted), site.live()), (1, 1, 1));
    add(&site, 10, 10);
    rig.until(|status| status.discovered == 20).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_site_that_is_down_from_the_start_makes_no_browser_after_browser() {
    let (site, queue) = (FakeSite::new(), TestQueue::new());
    add(&site, 0, 1);
    site.mishap_anywhere(Step::Launch, Mishap::Fails(Fault::SiteUnreachable), 40);
    let mut rig = Rig::start(site.clone(), &queue);
    tokio::time::sleep(Duration::from_mins(10)).await;
    let starts = site.events().iter().filter(|event| event.what == What::NotStarted).count();
    assert!((20..35).contains(&starts), "{starts} starts in 10 minutes");
    assert_eq!(rig.status().state, WatcherState::Repairing);
    rig.until(|status| status.discovered == 1).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_cannot_start_is_tried_again_and_said() {
    let (site, queue) = (FakeSite::new(), TestQueue::new());
    add(&site, 0, 1);
    site.refuse_to_start(10);
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until(|status| status.repairs == 5).await;
    assert_eq!(rig.status().state, WatcherState::Repairing);
    assert!(rig.status().last_reason.unwrap().contains("CannotStart"));
    rig.until(|status| status.discovered == 1).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_site_that_complains_is_looked_at_half_as_often_until_it_is_content() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    let mut rig = Rig::start(site.clone(), &queue);
    let mut pauses = Vec::new();
    for look in 0..80 {
        site.set_throttled((10..12).contains(&look));
        add(&site, look, 1);
        rig.until(|status| status.refreshes > look as u64).await;
        pauses.push(rig.status().pause_ms);
    }
    assert_eq!(pauses[..10], [300; 10]);
    assert_eq!(pauses[10..30], [600, 1200].into_iter().chain([1200; 18]).collect::<Vec<_>>());
    assert_eq!(pauses[31..51], [600; 20]);
    assert_eq!(pauses[51..], [300; 29]);
    assert_eq!(rig.metric("throttled_total"), 2);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_pace_slows_while_nothing_changes_and_is_back_with_the_first_new_item() {
    let (site, queue) = (FakeSite::new().showing(100), TestQueue::new());
    add(&site, 0, 100);
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until(|status| status.pause_ms == 2_000).await;
    let start = rig.status().refreshes;
    tokio::time::sleep(60 * SECOND).await;
    assert!((29..=31).contains(&(rig.status().refreshes - start)));
    add(&site, 100, 1);
    rig.until(|status| status.pause_ms == 300).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_watcher_told_to_stop_stops_at_once_whatever_the_list_does() {
    for step in [Step::Launch, Step::Refresh, Step::Load] {
        let (site, queue) = (FakeSite::new(), TestQueue::new());
        let mut rig = Rig::start(site.clone(), &queue);
        rig.until_state(WatcherState::Watching).await;
        if step != Step::Refresh {
            site.mishap_anywhere(Step::Refresh, Mishap::Fails(Fault::Unusable), 3);
        }
        site.mishap_anywhere(step, Mishap::Hangs, 1);
        tokio::time::sleep(5 * SECOND).await;
        assert!(rig.stop().await < SECOND / 10, "{step:?}");
        assert_eq!(site.live(), 0, "{step:?}");
    }
}
