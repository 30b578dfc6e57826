//! What a watcher says of a list that does not show what it should, and when it takes it back.

use std::time::Duration;

use scrapefleet_browser::{
    Fault, Step,
    fake::{FakeSite, Mishap, What},
};
use scrapefleet_watcher::WatcherState;

use crate::rig::{Rig, TestQueue, add, assert_published_once, ids};

const SECOND: Duration = Duration::from_secs(1);

fn restarts(site: &FakeSite) -> usize {
    site.events().iter().filter(|event| matches!(event.what, What::Started | What::Reloaded)).count()
}

#[tokio::test(start_paused = true)]
async fn a_selector_that_finds_nothing_is_told_at_once_and_without_a_break_until_it_finds_something() {
    let (site, queue) = (FakeSite::new(), TestQueue::new());
    add(&site, 0, 3);
    site.set_list_takes(Duration::from_hours(1));
    let mut rig = Rig::start(site.clone(), &queue);
    let told = rig.until(|status| status.waiting.is_some()).await;
    assert!(told <= 2 * SECOND, "{told:?}");
    let status = rig.status();
    let waiting = status.waiting.clone().unwrap();
    assert_eq!((waiting.step.as_str(), waiting.field.as_str()), ("Refresh", "list.item"));
    assert_eq!((waiting.selector.as_str(), waiting.url.as_str()), ("a.fake", "http://fake.test/"));
    assert_eq!(status.state, WatcherState::Starting, "a notice is no failure");
    assert_eq!((status.repairs, status.last_reason, restarts(&site)), (0, None, 1));

    // Through failures and repairs it is the same notice.
    rig.until(|status| {
        assert_eq!(status.waiting.as_ref(), Some(&waiting), "withdrawn for nothing");
        status.repairs >= 4
    })
    .await;
    site.set_list_takes(Duration::ZERO);
    rig.until(|status| status.discovered == 3).await;
    assert_eq!((rig.status().waiting, rig.status().state), (None, WatcherState::Watching));
    assert_published_once(&queue, ids(0..3));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_list_is_told_of_once_and_taken_back_as_soon_as_it_goes_on() {
    let (site, queue) = (FakeSite::new(), TestQueue::new());
    site.set_list_takes(3 * SECOND);
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until(|status| status.waiting.is_some()).await;
    let left = rig.until(|status| status.waiting.is_none()).await;
    assert!(left <= 2 * SECOND, "{left:?}");
    assert_eq!(rig.status().refreshes, 1, "withdrawn by the answer");
    rig.until(|status| {
        assert_eq!(status.waiting, None, "it is as slow as ever");
        status.refreshes == 40
    })
    .await;
    // Slower than ever is news again.
    site.set_list_takes(10 * SECOND);
    rig.until(|status| status.waiting.is_some()).await;
    assert_eq!((rig.status().state, rig.status().repairs), (WatcherState::Watching, 0));
    rig.until(|status| status.waiting.is_none()).await;
    assert_eq!((rig.status().repairs, restarts(&site)), (0, 1));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_for_another_reason_is_not_waited_for() {
    for (step, mishap) in [
        (Step::Refresh, Mishap::KillsBrowser),
        (Step::Refresh, Mishap::Fails(Fault::SiteUnreachable)),
        (Step::Load, Mishap::Fails(Fault::SiteRefuses)),
    ] {
        let (site, queue) = (FakeSite::new(), TestQueue::new());
        site.set_list_takes(Duration::from_hours(1));
        let mut rig = Rig::start(site.clone(), &queue);
        rig.until(|status| status.waiting.is_some()).await;
        site.mishap_anywhere(step, mishap, 1);
        rig.until(|status| status.waiting.is_none()).await;
        assert_eq!(rig.status().state, WatcherState::Repairing, "{step:?} {mishap:?}");
        rig.until(|status| status.waiting.is_some()).await;
        let stopped = rig.stop().await;
        assert!(stopped < SECOND / 10, "{stopped:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn looks_that_take_longer_than_they_should_are_counted() {
    let (site, queue) = (FakeSite::new().with_soft_deadline(3 * SECOND), TestQueue::new());
    site.set_list_takes(2 * SECOND);
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until(|status| status.refreshes == 3).await;
    site.set_list_takes(4 * SECOND);
    rig.until(|status| status.refreshes == 5).await;
    assert_eq!(rig.metric("slow_steps_total{step=\"Refresh\"}"), 2);
    rig.stop().await;
}
