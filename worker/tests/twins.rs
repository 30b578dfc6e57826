//! Items that are queued a second time while a bot holds them, as a watcher that takes over does it, in virtual time.
//!
//! The queue gives a task up that came back twice: a bot that keeps giving one back makes a dead letter of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod rig;

use std::{sync::Arc, time::Duration};

use rig::{Rig, Running};
use scrapefleet_api::fleet::DrainMode;
use scrapefleet_browser::{
    Item,
    fake::{Life, What},
};
use scrapefleet_queue::{Depth, Reason, Task, TaskQueue, memory::Memory};
use scrapefleet_store::memory::Outage;
use scrapefleet_worker::{BotExit, hold::Stage};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Tasks that come back so often are dead letters.
const DELIVERIES: u32 = 2;

fn rig() -> Rig {
    let mut rig = Rig::new();
    let clock = rig.clock;
    rig.queue = Memory::new(Arc::new(move || scrapefleet_policy::Clock::now(&clock)), DELIVERIES);
    rig
}

/// Queues a task whatever the queue knows of its item.
fn queue_again(rig: &Rig, task: &Task) {
    rig.queue.publish_raw(&task.lane, &serde_json::to_vec(task).unwrap());
}

/// A bot that has `item` open, and `twins` more tasks of it.
async fn holding(rig: &Rig, item: &Item, twins: u64) -> Running {
    rig.publish(std::slice::from_ref(item)).await;
    let mut bot = rig.start();
    bot.sees("open", secs(5), |s| s.holds.iter().any(|h| h.step == Stage::Open)).await;
    for _ in 0..twins {
        queue_again(rig, &rig.task(item));
    }
    until_held(rig, twins + 1).await;
    assert_eq!(bot.seen.borrow().holds.len(), 1, "a twin is no item of its own");
    bot
}

async fn until_held(rig: &Rig, held: u64) {
    for _ in 0..50 {
        if rig.depth().await.held == held {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not {held} tasks are held: {:?}", rig.depth().await);
}

fn opened(rig: &Rig) -> usize {
    rig.site.events().iter().filter(|event| matches!(event.what, What::Opened(..))).count()
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_is_stored_once_and_all_its_tasks_are_done_with_it() {
    for twins in [1, 4] {
        let rig = rig();
        let item = rig.site.add("a", Life::lasting(secs(60)).leaving("whole."));
        let bot = holding(&rig, &item, twins).await;
        rig.until("stored", secs(70), |t| t.stored == 1).await;
        assert_eq!(rig.depth().await, Depth::default());
        assert_eq!((opened(&rig), rig.totals().already_stored), (1, 0), "none came back");
        bot.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_recorded_once() {
    let rig = rig();
    let item = rig.site.add("a", Life::endless().gone_after(secs(30)));
    let bot = holding(&rig, &item, 1).await;
    rig.until("gone", secs(40), |t| t.gone == 1).await;
    assert_eq!((rig.depth().await, opened(&rig)), (Depth::default(), 1));
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_as_one_and_leaves_one_dead_letter() {
    let rig = rig();
    let item = rig.site.add("a", Life::lasting(secs(5)).leaving("what?"));
    let bot = holding(&rig, &item, 2).await;
    rig.until("retried", secs(30), |t| t.retried == 1).await;
    assert_eq!(rig.unfinished().await, 1, "one task goes on");
    rig.until("dead", secs(120), |t| t.dead == 1).await;
    tokio::time::sleep(secs(120)).await;
    let letters = rig.queue.dead_letters().await.unwrap();
    assert_eq!((letters.len(), letters[0].failure.reason), (1, Reason::Incomplete));
    assert_eq!((rig.depth().await, rig.totals().retried), (Depth { dead: 1, ..Depth::default() }, 2));
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn attempts_that_were_made_count() {
    let rig = rig();
    let item = rig.site.add("a", Life::lasting(secs(5)).leaving("what?"));
    let bot = holding(&rig, &item, 1).await;
    queue_again(&rig, &Task { attempt: 3, ..rig.task(&item) });
    until_held(&rig, 3).await;
    rig.until("dead", secs(30), |t| t.dead == 1).await;
    let letters = rig.queue.dead_letters().await.unwrap();
    assert_eq!(letters[0].task.as_ref().map(|task| task.attempt), Some(3));
    assert_eq!((rig.unfinished().await, rig.totals().retried), (0, 0));
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_goes_back_once() {
    for mode in [DrainMode::Release, DrainMode::Finish] {
        let mut rig = rig();
        rig.config.drain.mode = mode;
        let item = rig.site.add("a", Life::endless());
        let bot = holding(&rig, &item, 3).await;
        bot.signals.drain.cancel();
        bot.signals.release.cancel();
        let exit = bot.bot.await.unwrap();
        assert!(matches!(exit, BotExit::Released | BotExit::Drained));
        assert_eq!(rig.depth().await, Depth { ready: 1, ..Depth::default() }, "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_of_them_than_a_bot_may_hold_wait_their_turn() {
    let mut rig = rig();
    rig.config.holds = 3;
    let item = rig.site.add("a", Life::lasting(secs(60)).leaving("whole."));
    let bot = holding(&rig, &item, 2).await;
    for _ in 0..5 {
        queue_again(&rig, &rig.task(&item));
    }
    tokio::time::sleep(secs(30)).await;
    let depth = rig.depth().await;
    assert_eq!((depth.held, depth.ready), (3, 5));
    rig.until("stored", secs(40), |t| t.stored == 1).await;
    tokio::time::sleep(secs(5)).await;
    assert_eq!((rig.depth().await, opened(&rig), rig.totals().stored), (Depth::default(), 1, 1));
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_the_end_is_carried_out_is_not_done_before_it() {
    for back in [true, false] {
        let rig = rig();
        let item = rig.site.add("a", Life::lasting(secs(20)).leaving("whole."));
        let mut bot = holding(&rig, &item, 1).await;
        rig.store.set_outage(Some(Outage::Unreachable));
        bot.sees("storing", secs(30), |s| s.holds.iter().any(|h| h.step == Stage::Storing)).await;
        queue_again(&rig, &rig.task(&item));
        until_held(&rig, 3).await;
        if back {
            rig.store.set_outage(None);
            rig.until("stored", secs(30), |t| t.stored == 1).await;
            rig.until("known", secs(5), |t| t.already_stored == 1).await;
            assert_eq!((rig.depth().await, opened(&rig)), (Depth::default(), 1));
            bot.drain().await;
        } else {
            assert_eq!(bot.drain().await, BotExit::Drained);
            assert_eq!(rig.depth().await, Depth { ready: 3, ..Depth::default() }, "nothing is settled");
        }
    }
}
