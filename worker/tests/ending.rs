//! When a bot makes room for another by itself, and when it stays, in virtual time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod rig;

use std::time::Duration;

use rig::{Rig, Running};
use scrapefleet_api::{Period, fleet::DrainMode};
use scrapefleet_browser::{
    Fault, Step,
    fake::{Life, Mishap, What},
};
use scrapefleet_queue::{ConsumerOptions, TaskQueue};
use scrapefleet_store::memory::Outage;
use scrapefleet_worker::{BotExit, BotStatus, hold::Stage, outage::PATIENCE, status::BotState};
use tokio::{sync::watch, time::Instant};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const HOUR: Duration = Duration::from_hours(1);

/// A fleet whose bots live for an hour at most.
fn mortal() -> Rig {
    let mut rig = Rig::new();
    rig.config.abandonment.max_lifetime = Period::minutes(60);
    rig
}

async fn ended(bot: Running, limit: Duration) -> (BotExit, BotStatus) {
    let exit = scrapefleet_policy::within(limit, "the bot's end", bot.bot).await;
    let exit = exit.unwrap_or_else(|late| panic!("{late}: {:?}", *bot.seen.borrow())).unwrap();
    let last = bot.seen.borrow().clone();
    (exit, last)
}

#[tokio::test(start_paused = true)]
async fn an_old_bot_takes_nothing_more_and_goes_when_what_it_holds_has_ended() {
    // Whatever the drain mode: nobody has asked it to be quick.
    for mode in [DrainMode::Release, DrainMode::Finish] {
        let mut rig = mortal();
        rig.config.drain.mode = mode;
        rig.config.drain.deadline = Period::minutes(20);
        let mut bot = rig.start();
        tokio::time::sleep(secs(53 * 60)).await;
        let held = rig.site.add("held", Life::lasting(secs(12 * 60)).leaving("whole."));
        rig.publish(std::slice::from_ref(&held)).await;
        bot.sees("old", secs(8 * 60), |s| s.state == BotState::Draining && s.holds.len() == 1).await;
        rig.publish(&[rig.site.add("late", Life::endless())]).await;
        let old = Instant::now();
        let (exit, last) = ended(bot, secs(25 * 60)).await;
        assert_eq!((exit, last.exit), (BotExit::Recycled, Some(BotExit::Recycled)));
        assert!(old.elapsed() > secs(60), "it did not wait for what it held");
        assert_eq!((rig.totals().stored, rig.totals().released), (1, 0), "{mode:?}");
        assert_eq!((rig.depth().await.ready, rig.depth().await.held), (1, 0), "another takes what came late");
        assert_eq!(rig.site.live(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_old_bot_holds_is_waited_for_no_longer_than_a_drain_would() {
    let mut rig = mortal();
    rig.config.drain.deadline = Period::minutes(3);
    rig.publish(&[rig.site.add("endless", Life::endless())]).await;
    let begun = Instant::now();
    let (exit, _) = ended(rig.start(), 2 * HOUR).await;
    assert_eq!(exit, BotExit::Recycled);
    let lived = begun.elapsed();
    assert!((57 * 60..=63 * 60 + 1).contains(&lived.as_secs()), "{lived:?}");
    assert_eq!((rig.totals().released, rig.depth().await.ready), (1, 1), "its attempt count unchanged");
}

#[tokio::test(start_paused = true)]
async fn bots_of_one_age_go_one_after_the_other() {
    let mut lived = Vec::new();
    for seed in 0..20 {
        let mut rig = mortal();
        rig.config.seed = seed;
        let begun = Instant::now();
        assert_eq!(ended(rig.start(), 2 * HOUR).await.0, BotExit::Recycled);
        lived.push(begun.elapsed());
    }
    let (least, most) = (lived.iter().min().unwrap(), lived.iter().max().unwrap());
    assert!(*least >= HOUR.mul_f64(0.9) && *most <= HOUR + secs(6), "{lived:?}");
    assert!(most.saturating_sub(*least) > secs(120), "all at once: {lived:?}");
}

#[tokio::test(start_paused = true)]
async fn an_old_bot_that_is_told_to_drain_does_as_it_is_told() {
    let rig = mortal();
    rig.publish(&[rig.site.add("endless", Life::endless())]).await;
    let mut bot = rig.start();
    bot.sees("old", 2 * HOUR, |s| s.state == BotState::Draining).await;
    let asked = Instant::now();
    assert_eq!(bot.drain().await, BotExit::Drained);
    assert!(asked.elapsed() < secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_ends_no_bot() {
    for down in [60, 120, 540] {
        let rig = Rig::new();
        let items: Vec<_> = (0..3)
            .map(|n| rig.site.add(&format!("i{n}"), Life::lasting(secs(1200)).leaving("whole.")))
            .collect();
        rig.publish(&items).await;
        let mut bot = rig.start();
        bot.sees("open", secs(20), |s| s.holds.iter().filter(|h| h.step == Stage::Open).count() == 3).await;
        rig.site.set_unavailable(Some("HTTP 503"));
        bot.sees("down", secs(10), |s| s.state == BotState::SiteUnavailable).await;
        bot.steps_on(secs(6), secs(down)).await;
        rig.site.set_unavailable(None);
        bot.sees("working again", secs(20), |s| s.state == BotState::Working).await;
        rig.until_done(HOUR).await;
        bot.steps_on(secs(6), PATIENCE * 2).await;
        assert!(!bot.bot.is_finished(), "{down} s");
        assert_eq!((rig.totals().stored, rig.totals().dead), (3, 0));
        bot.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_there_is_nothing_to_try_it_with_the_page_says_that_the_site_is_back() {
    let rig = Rig::new();
    let items: Vec<_> = (0..5).map(|n| rig.site.add(&format!("i{n}"), Life::endless())).collect();
    rig.site.mishap_anywhere(Step::Open, Mishap::Fails(Fault::SiteUnreachable), 5);
    rig.publish(&items).await;
    let mut bot = rig.start();
    bot.sees("down", secs(20), |s| s.state == BotState::SiteUnavailable).await;
    let failed = Instant::now();
    // Another takes them all.
    let options = ConsumerOptions { name: "other".to_owned(), holds: 5, lanes: rig.config.lanes.clone() };
    let mut other = rig.queue.consume(options).await.unwrap();
    let mut claims = Vec::new();
    while claims.len() < 5 {
        claims.push(other.next().await.unwrap());
    }
    bot.sees("working again", secs(180), |s| s.state == BotState::Working).await;
    assert!(failed.elapsed() > secs(100), "it says so while nobody knows");
    bot.steps_on(secs(6), PATIENCE * 2).await;
    assert!(!bot.bot.is_finished());
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_gives_the_chrome_back_and_loses_nothing() {
    let rig = Rig::new();
    let items: Vec<_> = (0..3).map(|n| rig.site.add(&format!("i{n}"), Life::endless())).collect();
    rig.site.mishap_anywhere(Step::Open, Mishap::Fails(Fault::SiteUnreachable), u32::MAX);
    rig.publish(&items).await;
    let begun = Instant::now();
    let (exit, last) = ended(rig.start(), 2 * PATIENCE).await;
    assert_eq!(exit, BotExit::SiteUnavailable);
    assert!(begun.elapsed() >= PATIENCE, "{:?}", begun.elapsed());
    assert!(last.last_reason.is_some(), "it does not say why");
    assert_eq!(rig.site.live(), 0);
    let depth = rig.depth().await;
    assert_eq!((depth.ready + depth.delayed, depth.held, depth.dead), (3, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_the_site_does_not_let_start_ends_the_bot_as_late() {
    let rig = Rig::new();
    rig.site.mishap_anywhere(Step::Launch, Mishap::Fails(Fault::SiteRefuses), u32::MAX);
    let begun = Instant::now();
    assert_eq!(ended(rig.start(), 2 * PATIENCE).await.0, BotExit::SiteUnavailable);
    assert!(begun.elapsed() >= PATIENCE, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_holds_something_outlasts_any_outage() {
    let rig = Rig::new();
    let items: Vec<_> = (0..6)
        .map(|n| rig.site.add(&format!("i{n}"), Life::lasting(secs(45 * 60)).leaving("whole.")))
        .collect();
    rig.publish(&items[..1]).await;
    let mut bot = rig.start();
    bot.sees("open", secs(10), |s| s.holds.iter().any(|h| h.step == Stage::Open)).await;
    rig.site.mishap_anywhere(Step::Open, Mishap::Fails(Fault::SiteUnreachable), u32::MAX);
    rig.publish(&items[1..]).await;
    bot.sees("down", secs(120), |s| s.state == BotState::SiteUnavailable).await;
    tokio::time::sleep(3 * PATIENCE).await;
    assert!(!bot.bot.is_finished());
    rig.until("stored", HOUR, |t| t.stored == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_nothing_is_told_and_nothing_is_given_up() {
    for outage in [Outage::Unreachable, Outage::ReadOnly, Outage::Full] {
        let rig = Rig::new();
        let ends = rig.site.add("ends", Life::lasting(secs(10)).leaving("whole."));
        let stays = rig.site.add("stays", Life::lasting(secs(300)).leaving("whole."));
        rig.publish(&[ends, stays]).await;
        let mut bot = rig.start();
        bot.sees("both open", secs(9), |s| s.holds.iter().filter(|h| h.step == Stage::Open).count() == 2)
            .await;
        rig.store.set_outage(Some(outage));
        bot.sees("told", secs(30), |s| s.state == BotState::StoreUnreachable).await;
        let why = bot.seen.borrow().last_reason.clone().unwrap_or_default();
        assert!(why.contains("memory store"), "{why}");
        bot.steps_on(secs(6), secs(240)).await;
        assert_eq!(bot.seen.borrow().holds.len(), 2, "it holds on");
        let probed = rig.site.events().iter().filter(|e| matches!(e.what, What::Opened(..))).count();
        assert_eq!(probed, 2, "what it holds is not disturbed");
        rig.store.set_outage(None);
        bot.sees("working again", secs(20), |s| s.state == BotState::Working).await;
        rig.until_done(secs(300)).await;
        assert_eq!((rig.totals().stored, rig.totals().dead, rig.totals().released), (2, 0, 0), "{outage:?}");
        bot.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_that_succeeds_at_the_second_attempt_is_nobodys_business() {
    let rig = Rig::new();
    rig.publish(&[rig.site.add("a", Life::lasting(secs(10)).leaving("whole."))]).await;
    let mut bot = rig.start();
    let mut seen = bot.seen.clone();
    let told =
        tokio::spawn(async move { seen.wait_for(|s| s.state == BotState::StoreUnreachable).await.is_ok() });
    bot.sees("open", secs(9), |s| s.holds.iter().any(|h| h.step == Stage::Open)).await;
    rig.store.set_outage(Some(Outage::Unreachable));
    bot.sees("storing", secs(20), |s| s.holds.iter().any(|h| h.step == Stage::Storing)).await;
    tokio::time::sleep(secs(2)).await;
    rig.store.set_outage(None);
    rig.until_done(secs(30)).await;
    bot.drain().await;
    assert!(!told.await.unwrap(), "it was told");
}

#[tokio::test(start_paused = true)]
async fn a_bot_takes_its_steps_whatever_it_waits_for() {
    let idle = Rig::new();
    let mut slow = Rig::new();
    slow.config.abandonment.unresponsive = Period::minutes(10);
    slow.config.probe = secs(600);
    let mut patient = Rig::new();
    patient.config.breaker.cooldown = Period::minutes(24 * 60);
    patient.site.mishap_anywhere(Step::Launch, Mishap::Fails(Fault::SiteRefuses), u32::MAX);
    let full = Rig::new();
    let items: Vec<_> = (0..3).map(|n| full.site.add(&format!("i{n}"), Life::endless())).collect();
    full.publish(&items).await;
    for (rig, most) in [(idle, 10), (slow, 10), (patient, 10), (full, 1)] {
        let (_limit, seen) = watch::channel(most);
        let bot = rig.start_limited(seen);
        // The first browser is built, or is not.
        tokio::time::sleep(secs(5)).await;
        bot.steps_on(secs(6), PATIENCE / 2).await;
        bot.signals.release.cancel();
        bot.bot.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_never_ends_counts_for_nothing() {
    let rig = Rig::on(scrapefleet_browser::fake::FakeSite::new().with_step_deadline(HOUR));
    rig.publish(&[rig.site.add("a", Life::endless())]).await;
    rig.site.mishap_anywhere(Step::Open, Mishap::Hangs, 1);
    let bot = rig.start();
    tokio::time::sleep(secs(20)).await;
    let before = bot.steps.finished();
    tokio::time::sleep(secs(300)).await;
    assert_eq!(bot.steps.finished(), before);
    bot.bot.abort();
}
