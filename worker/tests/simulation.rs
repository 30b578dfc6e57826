//! Many bots, many items, random mishaps, in virtual time: every item ends in exactly one place.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod rig;

use std::time::Duration;

use rig::{Rig, Running};
use scrapefleet_api::Period;
use scrapefleet_browser::{
    Fault, Item, Step,
    fake::{FakeSite, Life, Mishap},
};
use scrapefleet_policy::{Backoff, Retry};
use scrapefleet_queue::TaskQueue;
use scrapefleet_store::{ArtifactStore, Key};

const SEEDS: u64 = 150;
const ITEMS: usize = 30;

fn millis(rng: &mut fastrand::Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

fn life(rng: &mut fastrand::Rng) -> Life {
    let length = millis(rng, 100..120_000);
    match rng.u8(..10) {
        0 => Life::endless().gone_after(length),
        1 => Life::lasting(length).at_first("early...", millis(rng, 0..20_000)).leaving("late."),
        2 => Life::lasting(length).leaving("broken?"),
        _ => Life::lasting(length).leaving("whole."),
    }
}

fn harm(site: &FakeSite, items: &[Item], rng: &mut fastrand::Rng) {
    let steps = [Step::Open, Step::Probe, Step::Take, Step::Leave, Step::RoundTrip, Step::Launch];
    let faults =
        [Fault::NotFound, Fault::Script, Fault::SiteUnreachable, Fault::SiteRefuses, Fault::BrowserGone];
    for _ in 0..rng.usize(..15) {
        let mishap = match rng.u8(..4) {
            0 => Mishap::Hangs,
            1 => Mishap::CrashesPage,
            2 => Mishap::KillsBrowser,
            _ => Mishap::Fails(faults[rng.usize(..faults.len())]),
        };
        let (step, times) = (steps[rng.usize(..steps.len())], rng.u32(1..3));
        match step {
            Step::Open | Step::Take if rng.bool() => {
                site.mishap(step, &items[rng.usize(..items.len())].id, mishap, times);
            }
            Step::Launch => site.mishap_anywhere(step, Mishap::Fails(Fault::CannotStart), 1),
            _ => site.mishap_anywhere(step, mishap, times),
        }
    }
}

/// Where the items are when all is over: each is counted once.
async fn check(seed: u64, rig: &Rig, items: &[Item]) {
    let dead = rig.queue.dead_letters().await.unwrap();
    for item in items {
        let stored = rig.artifact(&item.id).await.is_some();
        let gone = rig.store.get(&Key::gone(&rig::fleet(), &item.id)).await.unwrap().is_some();
        let dead = dead.iter().filter(|letter| letter.item.as_ref() == Some(&item.id)).count();
        let places = usize::from(stored) + usize::from(gone) + dead;
        assert_eq!(places, 1, "seed {seed}, {}: stored {stored}, gone {gone}, dead letters {dead}", item.id);
    }
    let stored = rig.totals().stored;
    let put = items.len() as u64 - rig.totals().gone - rig.totals().dead;
    assert!(stored <= put, "seed {seed}: {stored} puts of {put} artifacts");
}

async fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let site = FakeSite::new().with_latency(millis(&mut rng, 1..60));
    let mut rig = Rig::on(if rng.bool() { site.in_tabs() } else { site });
    rig.config.holds = rng.usize(1..12);
    if rng.bool() {
        rig.config.abandonment.max_lifetime = Period::secs(rng.u64(30..600));
    }
    rig.config.retry =
        Retry::times(6).backoff(Backoff::from(Duration::from_millis(500)).to(Duration::from_secs(30)));
    let items: Vec<_> = (0..ITEMS).map(|n| rig.site.add(&format!("i{n}"), life(&mut rng))).collect();
    harm(&rig.site, &items, &mut rng);
    rig.publish(&items).await;
    let mut bots: Vec<Running> = (0..rng.u32(1..4))
        .map(|slot| {
            rig.config.slot = slot;
            rig.start()
        })
        .collect();
    let end = tokio::time::Instant::now() + Duration::from_hours(6);
    while rig.unfinished().await > 0 {
        assert!(tokio::time::Instant::now() < end, "seed {seed} goes on for ever: {:?}", rig.totals());
        tokio::time::sleep(millis(&mut rng, 500..5_000)).await;
        // A bot that ended, or is killed now and then, is replaced.
        for bot in &mut bots {
            if bot.bot.is_finished() || rng.u8(..60) == 0 {
                bot.bot.abort();
                *bot = rig.start();
            }
        }
    }
    for bot in bots {
        bot.signals.release.cancel();
        bot.bot.await.unwrap();
    }
    check(seed, &rig, &items).await;
    assert_eq!(rig.site.live(), 0, "seed {seed} leaves browsers behind");
}

#[tokio::test(start_paused = true)]
async fn whatever_breaks_every_item_ends_in_exactly_one_place() {
    let one = std::env::var("SCRAPEFLEET_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = one.map_or(0..SEEDS, |seed| seed..seed + 1);
    for seed in seeds {
        run(seed).await;
    }
}
