//! What a bot does, told on a scripted site in virtual time.

mod rig;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use rig::Rig;
use scrapefleet_api::{FleetName, Period, fleet::DrainMode};
use scrapefleet_browser::{
    Fault, Placement, Step,
    fake::{FakeSite, Life, Mishap, What},
};
use scrapefleet_queue::{Failure, Reason, TaskQueue};
use scrapefleet_store::{ArtifactStore, Key, Metadata, Origin};
use scrapefleet_worker::{
    BotExit,
    hold::Stage,
    status::{BotState, HoldStatus},
};
use tokio::{sync::watch, time::Instant};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test(start_paused = true)]
async fn an_item_is_held_to_its_end_stored_acknowledged_and_left() {
    let rig = Rig::new();
    let item = rig.site.add("a", Life::lasting(secs(60)).leaving("the log."));
    rig.publish(std::slice::from_ref(&item)).await;
    let bot = rig.start();
    rig.until("stored", secs(70), |t| t.stored == 1).await;
    assert_eq!(rig.artifact(&item.id).await.unwrap().bytes, "the log.");
    rig.until_done(secs(1)).await;
    let left = || rig.site.events().iter().any(|e| e.what == What::Left(item.id.clone()));
    let end = Instant::now() + secs(2);
    while !left() && Instant::now() < end {
        tokio::time::sleep(secs(1)).await;
    }
    let order: Vec<_> = rig.site.events().into_iter().map(|e| e.what).collect();
    let expected = [
        What::Started,
        What::Opened(item.id.clone(), Placement::Ordinary),
        What::Took(item.id.clone()),
        What::Left(item.id.clone()),
    ];
    assert_eq!(order, expected);
    assert_eq!(bot.drain().await, BotExit::Drained);
    assert_eq!(rig.site.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_already_is_not_opened_again() {
    let rig = Rig::new();
    let item = rig.site.add("a", Life::lasting(secs(1)).leaving("once."));
    rig.publish(std::slice::from_ref(&item)).await;
    let bot = rig.start();
    rig.until("stored", secs(10), |t| t.stored == 1).await;
    assert_eq!(bot.drain().await, BotExit::Drained);
    let again = rig.with_new_queue();
    again.publish(&[item]).await;
    let bot = again.start();
    again.until("known", secs(10), |t| t.already_stored == 1).await;
    let opened = again.site.events().iter().filter(|e| matches!(e.what, What::Opened(..))).count();
    assert_eq!(opened, 1);
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn the_artifact_of_another_fleet_is_not_taken_for_ones_own() {
    for taken_while_held in [false, true] {
        let rig = Rig::new();
        let item = rig.site.add("a", Life::lasting(secs(5)).leaving("mine."));
        let key = rig.config.artifacts.key.key(&rig::fleet(), &item.id, &BTreeMap::new());
        let theirs = Bytes::from_static(b"theirs.");
        let origin = Origin {
            fleet: FleetName::new("other").unwrap(),
            item: item.id.clone(),
            discovered_at: Timestamp::UNIX_EPOCH,
            scraped_at: Timestamp::UNIX_EPOCH,
            attempt: 1,
        };
        let metadata = Metadata::of(&theirs, origin, "text/plain");
        if !taken_while_held {
            rig.store.put_new(&key, theirs.clone(), &metadata).await.unwrap();
        }
        rig.publish(std::slice::from_ref(&item)).await;
        let mut bot = rig.start();
        if taken_while_held {
            let open = |hold: &HoldStatus| hold.step == Stage::Open;
            bot.sees("open", secs(4), |status| status.holds.iter().any(open)).await;
            rig.store.put_new(&key, theirs.clone(), &metadata).await.unwrap();
        }
        rig.until("dead", secs(20), |t| t.dead == 1).await;
        let letters = rig.queue.dead_letters().await.unwrap();
        let Failure { message, evidence, .. } = &letters[0].failure;
        assert!(message.contains("fleet other") && message.contains("spec.store.key"), "{message}");
        assert_eq!(evidence.len(), usize::from(taken_while_held), "what was taken is kept");
        assert_eq!(rig.store.get(&key).await.unwrap().unwrap().bytes, theirs);
        bot.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_gone_item_is_recorded_with_what_the_site_said() {
    let rig = Rig::new();
    let item = rig.site.add("a", Life::endless().gone_after(secs(5)));
    rig.publish(std::slice::from_ref(&item)).await;
    let bot = rig.start();
    rig.until("gone", secs(15), |t| t.gone == 1).await;
    let record = rig.store.get(&Key::gone(&rig::fleet(), &item.id)).await.unwrap().unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record.bytes).unwrap();
    assert!(!record["proof"].as_str().unwrap().is_empty());
    assert_eq!(rig.depth().await, scrapefleet_queue::Depth::default());
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn late_lines_are_waited_for() {
    let rig = Rig::new();
    let item = rig.site.add("a", Life::lasting(secs(5)).at_first("not yet...", secs(4)).leaving("whole."));
    rig.publish(std::slice::from_ref(&item)).await;
    let bot = rig.start();
    rig.until("stored", secs(20), |t| t.stored == 1).await;
    let artifact = rig.artifact(&item.id).await.unwrap();
    assert_eq!((artifact.bytes.as_ref(), artifact.metadata.partial), (&b"whole."[..], None));
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn lines_that_never_come_leave_a_partial_artifact() {
    let rig = Rig::new();
    let item = rig.site.add("a", Life::lasting(secs(5)).leaving("never..."));
    rig.publish(std::slice::from_ref(&item)).await;
    let bot = rig.start();
    rig.until("stored", secs(25), |t| t.stored == 1).await;
    assert_eq!(rig.artifact(&item.id).await.unwrap().metadata.partial.as_deref(), Some("more may come"));
    assert_eq!(rig.totals().partial, 1);
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_artifact_is_a_dead_letter_after_its_attempts_and_kept_as_evidence() {
    let rig = Rig::new();
    let item = rig.site.add("a", Life::lasting(secs(1)).leaving("what?"));
    rig.publish(std::slice::from_ref(&item)).await;
    let bot = rig.start();
    rig.until("dead", secs(120), |t| t.dead == 1).await;
    assert_eq!(rig.totals().retried, 2);
    let letters = rig.queue.dead_letters().await.unwrap();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!(letter.failure.reason, Reason::Incomplete);
    assert_eq!(letter.task.as_ref().unwrap().attempt, 3);
    let kept = letter.failure.evidence.iter().find(|key| key.ends_with("/artifact")).unwrap();
    let kept = rig.store.get(&Key::new(kept.as_str()).unwrap()).await.unwrap().unwrap();
    assert_eq!(kept.bytes, "what?");
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_browser_is_replaced_and_its_items_held_again_without_a_lost_attempt() {
    let rig = Rig::new();
    let items: Vec<_> = (0..10).map(|n| rig.site.add(&format!("i{n}"), Life::lasting(secs(60)))).collect();
    rig.publish(&items).await;
    let mut bot = rig.start();
    bot.sees("all open", secs(20), |s| {
        s.holds.len() == 10 && s.holds.iter().all(|h| h.step == scrapefleet_worker::hold::Stage::Open)
    })
    .await;
    rig.site.mishap_anywhere(Step::RoundTrip, Mishap::KillsBrowser, 1);
    rig.site.mishap_anywhere(Step::Probe, Mishap::KillsBrowser, 1);
    rig.until_done(secs(120)).await;
    for item in &items {
        assert_eq!(rig.artifact(&item.id).await.unwrap().metadata.attempt, 1, "{}", item.id);
    }
    assert!(rig.totals().browsers_abandoned >= 1);
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_hung_browser_is_noticed_within_its_bound() {
    let rig = Rig::new();
    let item = rig.site.add("a", Life::endless());
    rig.publish(&[item]).await;
    let mut bot = rig.start();
    bot.sees("open", secs(5), |s| s.holds.iter().any(|h| h.step == Stage::Open)).await;
    let hung = Instant::now();
    rig.site.mishap_anywhere(Step::RoundTrip, Mishap::Hangs, 1);
    bot.sees("rebuilt", secs(10), |s| s.browser.abandoned == 1 && s.state == BotState::Working).await;
    assert!(hung.elapsed() <= secs(5), "{:?}", hung.elapsed());
    bot.drain().await;
}

fn started(rig: &Rig) -> usize {
    rig.site.events().iter().filter(|event| event.what == What::Started).count()
}

#[tokio::test(start_paused = true)]
async fn another_browser_is_ready_when_one_that_hangs_is_given_up() {
    let rig = Rig::new();
    let item = rig.site.add("a", Life::endless());
    rig.publish(&[item]).await;
    let mut bot = rig.start();
    bot.sees("open", secs(5), |s| s.holds.iter().any(|h| h.step == Stage::Open)).await;
    rig.site.mishap_anywhere(Step::RoundTrip, Mishap::Hangs, 1);
    let hung = Instant::now();
    while started(&rig) < 2 && hung.elapsed() < secs(10) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(hung.elapsed() < secs(2), "{:?}", hung.elapsed());
    bot.sees("working again", secs(10), |s| s.browser.abandoned == 1 && s.state == BotState::Working).await;
    assert_eq!((started(&rig), rig.site.live()), (2, 1));
    bot.drain().await;
    assert_eq!(rig.site.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_kills_its_page_each_time_dies_alone() {
    let rig = Rig::new();
    let poison = rig.site.add("poison", Life::endless());
    let items: Vec<_> = (0..8).map(|n| rig.site.add(&format!("i{n}"), Life::lasting(secs(40)))).collect();
    rig.site.mishap(Step::Open, &poison.id, Mishap::CrashesPage, 100);
    rig.publish(&items).await;
    rig.publish(std::slice::from_ref(&poison)).await;
    let bot = rig.start();
    rig.until_done(secs(300)).await;
    let letters = rig.queue.dead_letters().await.unwrap();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!(letter.item.as_ref(), Some(&poison.id));
    assert_eq!(letter.failure.reason, Reason::PageCrashed);
    for item in &items {
        assert!(rig.artifact(&item.id).await.is_some(), "{} is lost", item.id);
    }
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_cannot_be_started_ends_the_bot_and_gives_its_items_back() {
    let rig = Rig::new();
    let item = rig.site.add("a", Life::endless());
    rig.publish(&[item]).await;
    rig.site.refuse_to_start(100);
    let bot = rig.start();
    assert_eq!(bot.bot.await.unwrap(), BotExit::BrowserNotRebuilt);
    assert_eq!((rig.depth().await.ready, rig.depth().await.held), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_site_makes_no_dead_letters_and_ends_by_itself() {
    let rig = Rig::new();
    let items: Vec<_> = (0..5).map(|n| rig.site.add(&format!("i{n}"), Life::lasting(secs(900)))).collect();
    rig.site.mishap_anywhere(Step::Open, Mishap::Fails(Fault::SiteUnreachable), 25);
    rig.publish(&items).await;
    let bot = rig.start();
    rig.until_done(secs(3600)).await;
    assert_eq!((rig.totals().stored, rig.totals().dead), (5, 0));
    assert_eq!(rig.totals().browsers_abandoned, 0);
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_page_that_lost_its_connection_is_loaded_anew_and_its_items_entered_again() {
    let rig = Rig::new();
    let items: Vec<_> = (0..4).map(|n| rig.site.add(&format!("i{n}"), Life::lasting(secs(60)))).collect();
    rig.publish(&items).await;
    let mut bot = rig.start();
    bot.sees("all open", secs(20), |s| s.holds.len() == 4).await;
    rig.site.disconnect(false);
    tokio::time::sleep(secs(8)).await;
    rig.site.reconnect();
    rig.until_done(secs(120)).await;
    assert_eq!(rig.totals().stored, 4);
    assert!(rig.site.events().iter().any(|e| e.what == What::Reloaded));
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn an_item_lost_from_its_page_is_opened_again() {
    let rig = Rig::new();
    let item = rig.site.add("a", Life::lasting(secs(30)));
    rig.publish(std::slice::from_ref(&item)).await;
    let mut bot = rig.start();
    bot.sees("open", secs(5), |s| s.holds.iter().any(|h| h.step == Stage::Open)).await;
    rig.site.lose(&item.id);
    rig.until_done(secs(60)).await;
    assert_eq!(rig.artifact(&item.id).await.unwrap().metadata.attempt, 1);
    let opened = rig.site.events().iter().filter(|e| matches!(e.what, What::Opened(..))).count();
    assert_eq!(opened, 2);
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_hold_without_an_end_is_opened_afresh_once_and_then_fails() {
    let rig = Rig::new();
    let item = rig.site.add("a", Life::endless());
    rig.publish(std::slice::from_ref(&item)).await;
    let bot = rig.start();
    rig.until("failed", secs(91 * 60), |t| t.retried == 1).await;
    let opened = rig.site.events().iter().filter(|e| matches!(e.what, What::Opened(..))).count();
    assert_eq!(opened, 2);
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_changes_is_kept_from_then_on() {
    let rig = Rig::new();
    let items: Vec<_> = (0..6).map(|n| rig.site.add(&format!("i{n}"), Life::lasting(secs(60)))).collect();
    rig.publish(&items).await;
    let (limit, seen) = watch::channel(2);
    let mut bot = rig.start_limited(seen);
    bot.sees("two held", secs(10), |s| s.holds.len() == 2 && s.capacity == 2).await;
    tokio::time::sleep(secs(20)).await;
    assert_eq!(bot.seen.borrow().holds.len(), 2);
    limit.send_replace(4);
    bot.sees("four held", secs(5), |s| s.holds.len() == 4).await;
    limit.send_replace(0);
    bot.sees("one may always be held", secs(120), |s| s.holds.len() == 1 && s.capacity == 1).await;
    rig.until_done(secs(300)).await;
    assert_eq!((rig.totals().stored, rig.totals().released), (6, 0), "nothing is given up for it");
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn draining_releases_at_once_or_waits_for_the_end() {
    for (mode, stored) in [(DrainMode::Release, 0), (DrainMode::Finish, 1)] {
        let mut rig = Rig::new();
        rig.config.drain.mode = mode;
        let item = rig.site.add("a", Life::lasting(secs(60)));
        rig.publish(&[item]).await;
        let mut bot = rig.start();
        bot.sees("held", secs(5), |s| !s.holds.is_empty()).await;
        let asked = Instant::now();
        assert_eq!(bot.drain().await, BotExit::Drained);
        assert_eq!(rig.totals().stored, stored, "{mode:?}");
        assert_eq!(rig.depth().await.ready, 1 - stored, "{mode:?}");
        assert!(mode == DrainMode::Finish || asked.elapsed() < secs(5));
    }
}

#[tokio::test(start_paused = true)]
async fn releasing_gives_back_everything_now() {
    let mut rig = Rig::new();
    rig.config.drain.mode = DrainMode::Finish;
    let item = rig.site.add("a", Life::endless());
    rig.publish(&[item]).await;
    let mut bot = rig.start();
    bot.sees("held", secs(5), |s| !s.holds.is_empty()).await;
    bot.signals.drain.cancel();
    bot.signals.release.cancel();
    assert_eq!(bot.bot.await.unwrap(), BotExit::Released);
    assert_eq!(rig.depth().await.ready, 1);
    assert_eq!(rig.site.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_browser_is_recycled_after_its_share_of_items_and_only_when_it_holds_none() {
    let mut rig = Rig::new();
    rig.config.abandonment.recycle_after_items = 3;
    let items: Vec<_> = (0..7).map(|n| rig.site.add(&format!("i{n}"), Life::lasting(secs(10)))).collect();
    rig.publish(&items).await;
    let bot = rig.start();
    rig.until_done(secs(120)).await;
    assert_eq!(rig.totals().stored, 7);
    assert_eq!(rig.totals().browsers_abandoned, 0);
    let mut open = 0;
    for event in rig.site.events() {
        match event.what {
            What::Opened(..) => open += 1,
            What::Took(_) => open -= 1,
            What::Closed => assert_eq!(open, 0, "recycled while it held items"),
            _ => {}
        }
    }
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn in_tabs_a_crash_takes_only_its_own_item() {
    let rig = Rig::on(FakeSite::new().in_tabs().with_latency(Duration::from_millis(20)));
    let bad = rig.site.add("bad", Life::lasting(secs(30)));
    let good = rig.site.add("good", Life::lasting(secs(30)));
    rig.site.mishap(Step::Probe, &bad.id, Mishap::CrashesPage, 1);
    rig.publish(&[bad.clone(), good.clone()]).await;
    let bot = rig.start();
    rig.until_done(secs(120)).await;
    assert_eq!(rig.artifact(&good.id).await.unwrap().metadata.attempt, 1);
    assert_eq!(rig.artifact(&bad.id).await.unwrap().metadata.attempt, 2);
    assert_eq!(rig.totals().browsers_abandoned, 0);
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn steps_that_take_long_are_counted_by_their_names() {
    let mut rig =
        Rig::on(FakeSite::new().with_latency(Duration::from_millis(20)).with_soft_deadline(secs(3)));
    // A round trip that takes as long as the slow step is no failure here.
    rig.config.abandonment.unresponsive = Period::secs(10);
    let [quick, slow, hung] =
        ["quick", "slow", "hung"].map(|id| rig.site.add(id, Life::lasting(secs(60)).leaving("whole.")));
    let mut bot = rig.start();
    let counted = |bot: &rig::Running, step: &str| bot.metrics.slow_steps.with_label_values(&[step]).get();
    rig.publish(std::slice::from_ref(&quick)).await;
    bot.sees("open", secs(5), |status| status.holds.iter().any(|hold| hold.step == Stage::Open)).await;
    assert_eq!(counted(&bot, "Open"), 0);
    // It is slow and succeeds.
    let site = rig.site.clone().with_latency(secs(4));
    rig.publish(std::slice::from_ref(&slow)).await;
    bot.sees("both open", secs(30), |status| {
        status.holds.iter().filter(|hold| hold.step == Stage::Open).count() == 2
    })
    .await;
    assert_eq!(counted(&bot, "Open"), 1);
    // It is slow long before it fails.
    let site = site.with_latency(Duration::from_millis(20));
    site.mishap(Step::Open, &hung.id, Mishap::Hangs, 1);
    rig.publish(std::slice::from_ref(&hung)).await;
    let begun = Instant::now();
    while counted(&bot, "Open") == 1 {
        assert!(begun.elapsed() < secs(10), "not told while it hangs");
        tokio::time::sleep(secs(1)).await;
    }
    rig.until_done(secs(300)).await;
    for (step, times) in [("Open", 2), ("Take", 0), ("Leave", 0), ("Probe", 0), ("RoundTrip", 0)] {
        assert_eq!(counted(&bot, step), times, "{step}");
    }
    bot.drain().await;
}
