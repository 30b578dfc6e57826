//! Who holds what, and for how long.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt, poll};
use scrapefleet_api::ItemId;

use super::{
    Harness,
    scene::{LANE, Scene, claimed, depth, drain, ids, nothing, take, take_many, task, tasks},
};
use crate::{Claim, Consumer, ConsumerOptions, QueueError};

/// As many as it may, and the next when one is finished.
pub async fn a_consumer_holds_no_more_than_it_may<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 6)).await;
    let mut consumer = scene.consumer(3).await;
    let mut claims = take_many(&mut consumer, 3).await;
    nothing(&mut consumer).await;
    scene.settles_at(depth(3, 3, 0, 0)).await;
    claims[1].ack().await.unwrap();
    claims.push(take(&mut consumer).await);
    nothing(&mut consumer).await;
    drop(claims.pop());
    drop(take(&mut consumer).await);
    scene.settles_at(depth(3, 2, 0, 0)).await;
}

/// Many consumers race for the same tasks; at no moment do two hold one, and each is acked once.
pub async fn two_consumers_never_hold_one_task<H: Harness>(harness: H) {
    const TASKS: usize = 120;
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, TASKS)).await;
    let held: Arc<Mutex<HashSet<ItemId>>> = Arc::default();
    let acked: Arc<Mutex<BTreeMap<ItemId, u32>>> = Arc::default();
    let mut racers = Vec::new();
    for seed in 0..4 {
        let consumer = scene.consumer(5).await;
        racers.push(tokio::spawn(race(consumer, seed, TASKS, Arc::clone(&held), Arc::clone(&acked))));
    }
    for racer in racers {
        racer.await.unwrap();
    }
    let acked = acked.lock().unwrap();
    assert_eq!(acked.len(), TASKS);
    assert!(acked.values().all(|times| *times == 1), "{acked:?}");
}

async fn race(
    mut consumer: Box<dyn Consumer>,
    seed: u64,
    tasks: usize,
    held: Arc<Mutex<HashSet<ItemId>>>,
    acked: Arc<Mutex<BTreeMap<ItemId, u32>>>,
) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut claims: Vec<Box<dyn Claim>> = Vec::new();
    while acked.lock().unwrap().len() < tasks {
        let wait = Duration::from_millis(rng.u64(1..20));
        if let Ok(claim) = scrapefleet_policy::within(wait, "race", consumer.next()).await {
            let claim = claim.unwrap();
            assert!(held.lock().unwrap().insert(claim.task().id.clone()), "{claim:?} is held twice");
            claims.push(claim);
        }
        if claims.is_empty() || rng.u8(..3) == 0 {
            continue;
        }
        let mut claim = claims.swap_remove(rng.usize(..claims.len()));
        let id = claim.task().id.clone();
        held.lock().unwrap().remove(&id);
        match rng.u8(..12) {
            0 => claim.release().await.unwrap(),
            1 => drop(claim),
            _ => {
                claim.ack().await.unwrap();
                *acked.lock().unwrap().entry(id).or_default() += 1;
            }
        }
    }
}

/// A claim that is dropped unfinished gives its task back as it was.
pub async fn a_dropped_claim_gives_its_task_back<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 1)).await;
    let mut consumer = scene.consumer(1).await;
    drop(take(&mut consumer).await);
    let again = take(&mut consumer).await;
    assert_eq!(*again.task(), task("default-0", LANE));
}

/// So does a consumer, with all of its claims.
pub async fn a_dropped_consumer_gives_everything_back<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 4)).await;
    let mut first = scene.consumer(4).await;
    let claims = take_many(&mut first, 4).await;
    let mut second = scene.consumer(4).await;
    nothing(&mut second).await;
    drop(first);
    let again = take_many(&mut second, 4).await;
    assert_eq!(claimed(&again), claimed(&claims));
    assert!(again.iter().all(|claim| claim.task().attempt == 1));
    drop(claims);
    scene.settles_at(depth(0, 4, 0, 0)).await;
}

/// What a dropped consumer held can no longer be finished by it, whether somebody else has it or not.
pub async fn a_claim_of_a_dropped_consumer_is_closed<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 1)).await;
    let mut first = scene.consumer(1).await;
    let mut lost = take(&mut first).await;
    drop(first);
    assert_eq!(lost.ack().await, Err(QueueError::Closed));
    let mut second = scene.consumer(1).await;
    let mut claim = take(&mut second).await;
    assert_eq!(lost.release().await, Err(QueueError::Closed));
    drop(lost);
    nothing(&mut second).await;
    claim.ack().await.unwrap();
    scene.settles_at(depth(0, 0, 0, 0)).await;
}

/// However long it takes: a hold has no end but its finish.
pub async fn a_long_hold_is_not_taken_away<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 1)).await;
    let mut first = scene.consumer(1).await;
    let mut claim = take(&mut first).await;
    let long = if scene.harness.skips_time() { Duration::from_mins(46) } else { Duration::from_secs(3) };
    scene.harness.pass(long).await;
    nothing(&mut scene.consumer(1).await).await;
    scene.settles_at(depth(0, 1, 0, 0)).await;
    claim.ack().await.unwrap();
    scene.settles_at(depth(0, 0, 0, 0)).await;
}

/// `next` may be dropped at any point: every task is still there, and held by nobody.
pub async fn next_loses_nothing_when_it_is_dropped<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 20)).await;
    let mut consumer = scene.consumer(20).await;
    let mut rng = fastrand::Rng::with_seed(7);
    let mut claims = Vec::new();
    for _ in 0..200 {
        let mut next = consumer.next();
        for _ in 0..rng.u8(1..4) {
            if let std::task::Poll::Ready(claim) = poll!(&mut next) {
                claims.push(claim.unwrap());
                break;
            }
            tokio::time::sleep(Duration::from_micros(rng.u64(..300))).await;
        }
        drop(next);
        for mut claim in claims.drain(claims.len().min(3)..) {
            // Not dropped, which would count as a death of its holder.
            claim.release().await.unwrap();
        }
    }
    let held = claims.len() as u64;
    scene.settles_at(depth(20 - held, held, 0, 0)).await;
    drop(claims);
    assert_eq!(ids(&drain(&mut consumer, 20).await), ids(&tasks(LANE, 20)));
}

/// An `ack` that is dropped half-way has happened or not, and never leaves a task that nobody holds.
pub async fn a_finish_that_is_dropped_happens_or_does_not<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 20)).await;
    let mut consumer = scene.consumer(20).await;
    let mut asked_again = 0;
    for (n, mut claim) in take_many(&mut consumer, 20).await.into_iter().enumerate() {
        // Dropped at its first wait, if it has one.
        let acked = claim.ack().now_or_never();
        if acked.is_none() && n % 2 == 0 {
            claim.ack().await.unwrap();
            asked_again += 1;
        }
    }
    let left = loop {
        let depth = scene.queue.depth().await.unwrap();
        if depth.held == 0 {
            break depth.ready;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(left <= 20 - asked_again, "{left} are left");
    scene.kill().await;
    scene.settles_at(depth(left, 0, 0, 0)).await;
}

/// A consumer that waits gets what is published while it waits.
pub async fn a_waiting_consumer_is_woken_by_a_publish<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    let mut consumer = scene.consumer(1).await;
    let waiting = tokio::spawn(async move { take(&mut consumer).await.task().clone() });
    nothing(&mut scene.consumer(1).await).await;
    scene.publish(&[task("new", LANE)]).await;
    assert_eq!(waiting.await.unwrap(), task("new", LANE));
}

/// A consumer that could never take anything is refused at once.
pub async fn a_senseless_consumer_is_refused<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    let options = ConsumerOptions { name: "none".to_owned(), holds: 0, lanes: Vec::new() };
    let refused = scene.queue.consume(options).await.err();
    assert!(matches!(refused, Some(QueueError::Refused(_))), "{refused:?}");
}
