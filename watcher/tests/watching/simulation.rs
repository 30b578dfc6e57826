//! Random days in the life of a watcher: arrivals, ends, failures of the list and of the queue.

use std::collections::BTreeSet;

use scrapefleet_browser::{
    Fault, Step,
    fake::{FakeSite, Mishap},
};
use scrapefleet_queue::TaskQueue as _;
use scrapefleet_watcher::WatcherState;

use crate::rig::{Mood, PASSING, Rig, TestQueue, add, id};

const LIMIT: usize = 100;

/// What the test knows of the list: every item, and which were on it at some look.
struct Truth {
    /// Items in the order in which they came, with whether they are still there.
    items: Vec<bool>,
    /// Items that were among the newest of the list at a look.
    shown: BTreeSet<usize>,
    /// Looks at which the list was full and showed nothing that an earlier look had shown.
    overruns: u64,
}

impl Truth {
    fn new() -> Self {
        Self { items: Vec::new(), shown: BTreeSet::new(), overruns: 0 }
    }

    /// What the list shows now was looked at.
    fn look(&mut self, first: bool) {
        let newest = (0..self.items.len()).rev().filter(|n| self.items[*n]).take(LIMIT);
        let window: Vec<_> = newest.collect();
        let full = window.len() == LIMIT;
        let known = window.iter().any(|n| self.shown.contains(n));
        self.overruns += u64::from(full && !known && !first);
        self.shown.extend(window);
    }

    /// `count` items come.
    fn arrive(&mut self, site: &FakeSite, count: usize) {
        add(site, self.items.len(), count);
        self.items.extend(std::iter::repeat_n(true, count));
    }

    /// An item ends.
    fn end(&mut self, site: &FakeSite, number: usize) {
        if std::mem::replace(&mut self.items[number], false) {
            site.unlist(&id(number).parse().unwrap());
        }
    }
}

fn mishap(random: &mut fastrand::Rng) -> Mishap {
    match random.usize(..8) {
        0 => Mishap::Hangs,
        1 => Mishap::CrashesPage,
        2 => Mishap::KillsBrowser,
        3 => Mishap::Fails(Fault::Timeout),
        n => Mishap::Fails(PASSING[n - 4]),
    }
}

/// Ten minutes or so: what is done between two looks is decided by the seed, and so is when things fail.
async fn day(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (site, queue, mut truth) = (FakeSite::new().showing(LIMIT), TestQueue::new(), Truth::new());
    let start = random.usize(..150);
    truth.arrive(&site, start);
    truth.look(true);
    let mut rig = Rig::start(site.clone(), &queue);
    rig.until(|status| status.refreshes == 1).await;
    for _ in 0..300 {
        let refreshes = rig.status().refreshes;
        let burst = match random.u8(..40) {
            0 => random.usize(..200),
            1..=4 => random.usize(..70),
            _ => random.usize(..6),
        };
        truth.arrive(&site, burst);
        for _ in 0..random.usize(..8).min(truth.items.len()) {
            let number = random.usize(truth.items.len().saturating_sub(150)..truth.items.len());
            truth.end(&site, number);
        }
        if random.u8(..20) == 0 {
            site.mishap_anywhere(Step::Refresh, mishap(&mut random), 1);
        }
        if random.u8(..50) == 0 {
            queue.set_mood(*random.choice([Mood::Answers, Mood::Fails, Mood::Hangs]).as_ref().unwrap());
        }
        truth.look(false);
        rig.until(|status| status.refreshes > refreshes).await;
    }
    queue.set_mood(Mood::Answers);
    rig.until(|status| status.unpublished == 0 && status.state == WatcherState::Watching).await;

    let published: BTreeSet<_> = queue.published().into_iter().collect();
    let shown: BTreeSet<_> = truth.shown.iter().map(|n| id(*n)).collect();
    let lost: Vec<_> = shown.difference(&published).collect();
    assert!(lost.is_empty(), "seed {seed}: on the list at a look and never queued: {lost:?}");
    assert!(published.is_subset(&shown), "seed {seed}: queued and never shown");
    assert_eq!(queue.published().len(), published.len(), "seed {seed}: queued twice");
    assert_eq!(queue.depth().await.unwrap().ready, published.len() as u64, "seed {seed}");
    assert_eq!(rig.status().gaps, truth.overruns, "seed {seed}: gaps");
    rig.stop().await;
    assert_eq!(site.live(), 0, "seed {seed}: browsers left");
}

#[tokio::test(start_paused = true)]
async fn everything_that_a_look_could_see_is_queued_once_and_every_overrun_is_a_gap() {
    for seed in 0..24 {
        day(seed).await;
    }
}
