//! Items that kill the page they are in, and browsers that die of something else, in virtual time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "rig/poison.rs"]
mod poison;
mod rig;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use poison::Poisoned;
use rig::{Rig, Running};
use scrapefleet_browser::{
    Fault, Item, Step,
    fake::{FakeSite, Life, Mishap, What},
};
use scrapefleet_queue::{Reason, TaskQueue};
use scrapefleet_worker::hold::Stage;
use tokio::time::Instant;

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A rig whose browsers take their time, with `items` of which the first `lethal.len()` kill their page after so long.
fn rig(items: usize, life: Duration, lethal: &[(Duration, Fault)]) -> (Rig, Vec<Item>) {
    let site = FakeSite::new().with_latency(millis(5));
    let items: Vec<_> =
        (0..items).map(|n| site.add(&format!("i{n}"), Life::lasting(life).leaving("whole."))).collect();
    let poison: BTreeMap<_, _> =
        items.iter().map(|item| item.id.clone()).zip(lethal.iter().copied()).collect();
    let mut rig = Rig::on(site.clone());
    rig.factory = Arc::new(Poisoned { site, poison });
    (rig, items)
}

fn is_open(bot: &Running, item: &Item) -> bool {
    bot.seen.borrow().holds.iter().any(|hold| hold.item == item.id && hold.step == Stage::Open)
}

/// Publishes items one after the other, each when the one before has been open for `pause`.
async fn publish_slowly(rig: &Rig, bot: &Running, items: &[&Item], pause: Duration) {
    for item in items {
        rig.publish(std::slice::from_ref(*item)).await;
        let end = Instant::now() + secs(60);
        while !is_open(bot, item) && rig.totals().retried == 0 && Instant::now() < end {
            tokio::time::sleep(millis(10)).await;
        }
        tokio::time::sleep(pause).await;
    }
}

/// How long it takes from a death of the browser until all is held again.
async fn held_again(rig: &Rig, bot: &mut Running, all: usize) -> Duration {
    let abandoned = bot.seen.borrow().browser.abandoned;
    rig.site.mishap_anywhere(Step::RoundTrip, Mishap::KillsBrowser, 1);
    let killed = Instant::now();
    bot.sees("held again", secs(60), |status| {
        status.browser.abandoned > abandoned
            && status.holds.iter().filter(|hold| hold.step == Stage::Open).count() == all
    })
    .await;
    killed.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_dies_again_and_again_has_its_items_held_again_in_time() {
    let (rig, items) = rig(10, secs(1800), &[]);
    let mut bot = rig.start();
    publish_slowly(&rig, &bot, &items.iter().collect::<Vec<_>>(), secs(6)).await;
    tokio::time::sleep(secs(6)).await;
    let mut took = Vec::new();
    for _ in 0..4 {
        took.push(held_again(&rig, &mut bot, items.len()).await);
        tokio::time::sleep(secs(10)).await;
    }
    assert!(took.iter().all(|took| *took < secs(5)), "{took:?}");
    assert_eq!((rig.totals().retried, rig.totals().released, rig.totals().dead), (0, 0, 0));
    rig.until("stored", secs(1900), |t| t.stored == 10).await;
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_poison_item_dies_alone_whenever_it_kills() {
    for fault in [Fault::PageCrashed, Fault::Timeout] {
        for delay in [0, 200, 1_000, 3_000, 6_000, 15_000, 50_000] {
            for before in [0, 5, 10] {
                one_poison(millis(delay), fault, before).await;
            }
        }
    }
}

/// Plays a bot with ten harmless items, of which so many came before the poison.
async fn one_poison(delay: Duration, fault: Fault, before: usize) {
    let case = format!("{fault:?} after {delay:?}, {before} before");
    let (mut rig, items) = rig(11, secs(600), &[(delay, fault)]);
    rig.config.holds = 11;
    let bot = rig.start();
    let (poison, good) = items.split_first().unwrap();
    let mut order: Vec<_> = good.iter().collect();
    order.insert(before, poison);
    publish_slowly(&rig, &bot, &order, millis(300)).await;
    rig.until(&case, secs(1200), |t| t.stored == 10 && t.dead == 1).await;
    let letters = rig.queue.dead_letters().await.unwrap();
    assert_eq!(letters[0].item.as_ref(), Some(&poison.id), "{case}");
    assert_eq!(letters[0].failure.reason, Reason::PageCrashed, "{case}");
    assert_eq!(letters[0].task.as_ref().map(|task| task.attempt), Some(3), "{case}");
    assert_eq!(rig.totals().retried, 2, "{case}: only the poison has failed attempts");
    assert!(rig.totals().browsers_abandoned <= 3, "{case}: {:?}", rig.totals());
    assert!(!bot.bot.is_finished(), "{case}");
    for item in good {
        assert_eq!(rig.artifact(&item.id).await.unwrap().metadata.attempt, 1, "{case}");
    }
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_isolated_is_opened_alone_once_and_cleared_when_a_page_dies_without_it() {
    let (rig, items) = rig(5, secs(1800), &[]);
    let mut bot = rig.start();
    publish_slowly(&rig, &bot, &items.iter().collect::<Vec<_>>(), secs(6)).await;
    tokio::time::sleep(secs(6)).await;
    let alone = || {
        let placed = rig.site.events().into_iter().filter_map(|event| match event.what {
            What::Opened(_, placement) => Some(placement),
            _ => None,
        });
        placed.filter(|placement| *placement == scrapefleet_browser::Placement::Alone).count()
    };
    held_again(&rig, &mut bot, 5).await;
    tokio::time::sleep(secs(10)).await;
    assert_eq!(alone(), 0, "one death accuses nobody");
    held_again(&rig, &mut bot, 5).await;
    tokio::time::sleep(secs(10)).await;
    assert_eq!(alone(), 3, "of two the newest are suspected");
    held_again(&rig, &mut bot, 5).await;
    tokio::time::sleep(secs(10)).await;
    assert_eq!(alone(), 5, "the others are suspected then, and those are cleared");
    tokio::time::sleep(secs(120)).await;
    assert_eq!(alone(), 5);
    bot.drain().await;
}
