//! Random operations, compared after each with a model that is simple enough to be believed.
//!
//! The model does not say which task comes next, only which may: a queue is free to choose among the ready ones.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use futures::StreamExt;
use scrapefleet_policy::within;

use super::{
    Harness,
    scene::{Scene, failure, item, take, task},
};
use crate::{Claim, Consumer, Depth, Reason, TaskState};

/// How many operations one seed makes.
const STEPS: usize = 80;
/// The delay of every retry, so long that none ends but by letting time pass.
const DELAY: Duration = Duration::from_hours(2);
const LANES: [&str; 3] = ["a", "b", "c"];

/// What the model knows of one item.
#[derive(Debug, Clone)]
struct Entry {
    lane: &'static str,
    attempt: u32,
    place: Place,
    /// How often it was handed out since it was last finished: a death may take the count of some of them with it.
    deliveries: (u32, u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Ready,
    Held,
    Delayed,
    Dead,
    Gone,
}

/// A consumer and what it holds.
struct Hand {
    consumer: Box<dyn Consumer>,
    holds: usize,
    lanes: Vec<&'static str>,
    claims: Vec<Box<dyn Claim>>,
}

struct Play<H> {
    scene: Scene<H>,
    rng: Rng,
    items: BTreeMap<String, Entry>,
    journal: Vec<String>,
    hands: Vec<Hand>,
}

/// Plays one seed. Needs a queue that knows what it was told before and whose clock can be set forward.
pub async fn play<H: Harness>(harness: H, seed: u64) {
    assert!(harness.dedups() && harness.skips_time(), "the model is of a queue that dedups and skips time");
    let scene = Scene::of(harness);
    let mut play = Play {
        scene,
        rng: Rng::with_seed(seed),
        items: BTreeMap::new(),
        journal: Vec::new(),
        hands: Vec::new(),
    };
    for step in 0..STEPS {
        play.step().await;
        play.check_depth().await;
        if step % 20 == 19 {
            play.check_everything().await;
        }
    }
    play.kill().await;
    play.check_everything().await;
}

impl<H: Harness> Play<H> {
    async fn step(&mut self) {
        match self.rng.u8(..100) {
            0..20 => self.publish().await,
            20..28 => self.connect().await,
            28..31 => self.disconnect(),
            31..60 => self.take().await,
            60..84 => self.finish().await,
            84..89 => self.drop_claim(),
            89..93 => self.pass().await,
            93..97 => self.replay().await,
            _ => self.kill().await,
        }
    }

    async fn publish(&mut self) {
        let mut batch = Vec::new();
        for _ in 0..self.rng.usize(1..6) {
            let number = self.rng.usize(..self.journal.len() + 4);
            let lane = LANES[self.rng.usize(..LANES.len())];
            batch.push(task(&format!("item-{number}"), lane));
        }
        let done = self.scene.queue.publish(batch.clone()).await.unwrap();
        let before = self.journal.len();
        for task in &batch {
            let name = task.id.to_string();
            if !self.items.contains_key(&name) {
                let lane = LANES.into_iter().find(|lane| *lane == task.lane.as_str()).unwrap();
                let entry = Entry { lane, attempt: 1, place: Place::Ready, deliveries: (0, 0) };
                self.items.insert(name.clone(), entry);
                self.journal.push(name);
            }
        }
        let new = self.journal.len() - before;
        assert_eq!((done.new, done.known), (new, batch.len() - new));
    }

    async fn connect(&mut self) {
        if self.hands.len() == 3 {
            return self.disconnect();
        }
        let mut lanes = LANES.to_vec();
        self.rng.shuffle(&mut lanes);
        lanes.truncate(self.rng.usize(1..=3));
        let holds = self.rng.usize(1..6);
        let weighted: Vec<_> = lanes.iter().map(|lane| (*lane, self.rng.u32(1..5))).collect();
        let consumer = self.scene.consumer_of(holds, &weighted).await;
        self.hands.push(Hand { consumer, holds, lanes, claims: Vec::new() });
    }

    fn disconnect(&mut self) {
        if self.hands.is_empty() {
            return;
        }
        let hand = self.hands.swap_remove(self.rng.usize(..self.hands.len()));
        for claim in &hand.claims {
            self.entry(claim.as_ref()).place = Place::Ready;
        }
        // In both orders: claims may outlive their consumer.
        let Hand { consumer, claims, .. } = hand;
        if self.rng.bool() {
            drop((consumer, claims));
        } else {
            drop((claims, consumer));
        }
    }

    /// Takes where something must come; else, sometimes, looks that nothing does, which also drops a `next`.
    async fn take(&mut self) {
        if self.hands.is_empty() {
            return self.connect().await;
        }
        let index = self.rng.usize(..self.hands.len());
        let limit = self.scene.harness.max_deliveries();
        let may = |entry: &Entry| {
            entry.place == Place::Ready && self.hands[index].may_take(entry.lane, &self.items)
        };
        let some_must_come = self.items.values().any(|entry| may(entry) && entry.deliveries.1 < limit);
        let hand = &mut self.hands[index];
        let claim = if some_must_come {
            Some(take(&mut hand.consumer).await)
        } else {
            within(Duration::from_millis(2), "none", hand.consumer.next()).await.ok().map(Result::unwrap)
        };
        let Some(claim) = claim else { return self.follow_the_given_up().await };
        let name = claim.task().id.to_string();
        let entry = self.items[&name].clone();
        assert_eq!(entry.place, Place::Ready, "`{name}` was handed out");
        assert!(entry.deliveries.0 < limit, "`{name}` was handed out though it should have been given up");
        assert!(
            self.hands[index].may_take(entry.lane, &self.items),
            "`{name}` came past the holds kept for others"
        );
        assert_eq!((claim.task().attempt, claim.task().lane.as_str()), (entry.attempt, entry.lane));
        let entry = self.entry(claim.as_ref());
        entry.place = Place::Held;
        entry.deliveries = (entry.deliveries.0 + 1, entry.deliveries.1 + 1);
        self.hands[index].claims.push(claim);
        self.follow_the_given_up().await;
    }

    /// Tasks whose holders died too often are given up when somebody comes for them, which is up to the queue.
    async fn follow_the_given_up(&mut self) {
        let limit = self.scene.harness.max_deliveries();
        for letter in self.scene.queue.dead_letters().await.unwrap() {
            let entry = self.items.get_mut(letter.item.unwrap().as_str()).unwrap();
            if letter.failure.reason == Reason::HolderDied && entry.place != Place::Dead {
                assert!(entry.place == Place::Ready && entry.deliveries.1 >= limit, "{entry:?}");
                entry.place = Place::Dead;
            }
        }
    }

    async fn finish(&mut self) {
        let Some(mut claim) = self.some_claim() else { return };
        match self.rng.u8(..8) {
            0 => {
                claim.release().await.unwrap();
                self.entry(claim.as_ref()).place = Place::Ready;
            }
            1 | 2 => {
                claim.retry(DELAY, failure(Reason::OpenFailed, "later")).await.unwrap();
                let entry = self.entry(claim.as_ref());
                entry.place = Place::Delayed;
                entry.attempt += 1;
            }
            3 | 4 => {
                claim.dead(failure(Reason::TakeFailed, "never")).await.unwrap();
                self.entry(claim.as_ref()).place = Place::Dead;
            }
            _ => {
                claim.ack().await.unwrap();
                self.entry(claim.as_ref()).place = Place::Gone;
            }
        }
        self.entry(claim.as_ref()).deliveries = (0, 0);
    }

    fn drop_claim(&mut self) {
        if let Some(claim) = self.some_claim() {
            self.entry(claim.as_ref()).place = Place::Ready;
        }
    }

    async fn pass(&mut self) {
        self.scene.harness.pass(DELAY + Duration::from_secs(1)).await;
        for entry in self.items.values_mut().filter(|entry| entry.place == Place::Delayed) {
            entry.place = Place::Ready;
        }
    }

    async fn replay(&mut self) {
        let dead: Vec<_> =
            self.items.iter().filter(|(_, e)| e.place == Place::Dead).map(|(n, _)| n.clone()).collect();
        let Some(name) = self.rng.choice(dead) else {
            assert!(self.scene.queue.replay(&item("nobody")).await.is_err());
            return;
        };
        self.scene.queue.replay(&item(&name)).await.unwrap();
        let lane = self.items[&name].lane;
        self.items.insert(name, Entry { lane, attempt: 1, place: Place::Ready, deliveries: (0, 0) });
    }

    async fn kill(&mut self) {
        self.scene.kill().await;
        self.hands.clear();
        for entry in self.items.values_mut() {
            entry.deliveries.0 = 0;
            if entry.place == Place::Held {
                entry.place = Place::Ready;
            }
        }
    }

    fn some_claim(&mut self) -> Option<Box<dyn Claim>> {
        let holding: Vec<_> = (0..self.hands.len()).filter(|i| !self.hands[*i].claims.is_empty()).collect();
        let claims = &mut self.hands[self.rng.choice(holding)?].claims;
        Some(claims.swap_remove(self.rng.usize(..claims.len())))
    }

    fn entry(&mut self, claim: &dyn Claim) -> &mut Entry {
        self.items.get_mut(claim.task().id.as_str()).unwrap()
    }

    async fn check_depth(&self) {
        let mut lanes: BTreeMap<String, Depth> = BTreeMap::new();
        for entry in self.items.values().filter(|entry| entry.place != Place::Gone) {
            let depth = lanes.entry(entry.lane.to_owned()).or_default();
            match entry.place {
                Place::Ready => depth.ready += 1,
                Place::Held => depth.held += 1,
                Place::Delayed => depth.delayed += 1,
                Place::Dead => depth.dead += 1,
                Place::Gone => {}
            }
        }
        let sum = lanes.values().fold(Depth::default(), |sum, lane| sum + lane.clone());
        self.scene.settles_at(sum).await;
        assert_eq!(self.scene.lane_depths().await, lanes);
    }

    async fn check_everything(&self) {
        let state = |entry: &Entry| match entry.place {
            Place::Ready => Some(TaskState::Ready),
            Place::Held => Some(TaskState::Held),
            Place::Delayed => Some(TaskState::Delayed),
            Place::Dead | Place::Gone => None,
        };
        let pending: BTreeMap<_, _> =
            self.items.iter().filter_map(|(name, entry)| Some((name.clone(), state(entry)?))).collect();
        assert_eq!(self.scene.pending().await, pending);

        let journal = self.scene.queue.journal().await.unwrap();
        let journal: Vec<String> = journal.map(|entry| entry.unwrap().id.to_string()).collect().await;
        assert_eq!(journal, self.journal);

        let letters = self.scene.queue.dead_letters().await.unwrap();
        let mut found: Vec<_> = letters.iter().map(|l| l.item.as_ref().unwrap().to_string()).collect();
        found.sort();
        let dead = self.items.iter().filter(|(_, entry)| entry.place == Place::Dead);
        assert_eq!(found, dead.map(|(name, _)| name.clone()).collect::<Vec<_>>());
        for letter in letters {
            let entry = &self.items[letter.item.unwrap().as_str()];
            assert_eq!(letter.task.unwrap().attempt, entry.attempt);
        }
    }
}

impl Hand {
    /// Whether it may hold one more of `lane`: with a hold for every lane, one is kept for each of them.
    fn may_take(&self, lane: &str, items: &BTreeMap<String, Entry>) -> bool {
        let lane_of = |claim: &dyn Claim| items[claim.task().id.as_str()].lane;
        let held = |lane: &str| self.claims.iter().filter(|claim| lane_of(claim.as_ref()) == lane).count();
        if !self.lanes.contains(&lane) {
            return false;
        }
        if self.holds < self.lanes.len() {
            return self.claims.len() < self.holds;
        }
        let beyond: usize = self.lanes.iter().map(|lane| held(lane).saturating_sub(1)).sum();
        held(lane) == 0 || beyond < self.holds - self.lanes.len()
    }
}
