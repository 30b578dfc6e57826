//! What a death takes away and what it does not.

use std::time::Duration;

use super::{
    Harness,
    scene::{LANE, Scene, claimed, depth, drain, failure, ids, item, nothing, take, take_many, task, tasks},
};
use crate::Reason;

/// Confirmed is there after a death, each task once.
pub async fn a_confirmed_publish_survives_a_death<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    let published = tasks(LANE, 40);
    for part in published.chunks(7) {
        scene.publish(part).await;
    }
    scene.kill().await;
    scene.settles_at(depth(40, 0, 0, 0)).await;
    let mut done = drain(&mut scene.consumer(4).await, 40).await;
    done.sort_by_key(|task| published.iter().position(|p| p.id == task.id));
    assert_eq!(done, published);
}

/// What was held when its holder died is ready again as it was.
pub async fn an_unfinished_task_comes_back_after_a_death<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 5)).await;
    let mut consumer = scene.consumer(3).await;
    let held = take_many(&mut consumer, 3).await;
    assert_eq!(held.len(), 3);
    scene.kill().await;
    scene.settles_at(depth(5, 0, 0, 0)).await;
    let again = drain(&mut scene.consumer(5).await, 5).await;
    assert_eq!(ids(&again), ids(&tasks(LANE, 5)));
    assert!(again.iter().all(|task| task.attempt == 1 && task.last_failure.is_none()));
}

/// Acked is gone for good, whatever else is going on.
pub async fn an_acked_task_never_comes_back<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 10)).await;
    let mut consumer = scene.consumer(10).await;
    let mut claims = take_many(&mut consumer, 10).await;
    for claim in claims.iter_mut().take(6) {
        claim.ack().await.unwrap();
    }
    let acked = claimed(&claims[..6]);
    scene.kill().await;
    scene.settles_at(depth(4, 0, 0, 0)).await;
    let left = drain(&mut scene.consumer(10).await, 4).await;
    assert!(ids(&left).iter().all(|id| !acked.contains(id)));
    scene.kill().await;
    scene.settles_at(depth(0, 0, 0, 0)).await;
    nothing(&mut scene.consumer(10).await).await;
}

/// A delay goes on over a death; it is neither forgotten nor started again.
pub async fn a_delay_survives_a_death<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    scene.publish(&[task("late", LANE)]).await;
    let delay = scene.delay(Duration::from_hours(1), Duration::from_secs(3));
    take(&mut scene.consumer(1).await).await.retry(delay, failure(Reason::OpenFailed, "no")).await.unwrap();
    scene.kill().await;
    scene.settles_at(depth(0, 0, 1, 0)).await;
    scene.harness.pass(delay).await;
    let claim = take(&mut scene.consumer(1).await).await;
    assert_eq!(claim.task().attempt, 2);
    assert_eq!(claim.task().last_failure, Some(failure(Reason::OpenFailed, "no")));
}

/// Dead letters are there after a death, and a replayed one stays replayed.
pub async fn dead_letters_and_their_replay_survive_a_death<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 2)).await;
    let mut consumer = scene.consumer(2).await;
    for mut claim in take_many(&mut consumer, 2).await {
        claim.dead(failure(Reason::TakeFailed, "no")).await.unwrap();
    }
    scene.kill().await;
    assert_eq!(scene.letters(2).await[1].failure, failure(Reason::TakeFailed, "no"));
    scene.queue.replay(&item("default-1")).await.unwrap();
    scene.kill().await;
    scene.settles_at(depth(1, 0, 0, 1)).await;
    assert_eq!(ids(&drain(&mut scene.consumer(1).await, 1).await), ["default-1"]);
}

/// A purged letter stays purged, and its item can be discovered as it was.
pub async fn what_was_purged_does_not_come_back_after_a_death<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 2)).await;
    let mut consumer = scene.consumer(2).await;
    for mut claim in take_many(&mut consumer, 2).await {
        claim.dead(failure(Reason::TakeFailed, "no")).await.unwrap();
    }
    let letters = scene.letters(2).await;
    let purged = letters.iter().find(|letter| letter.item == Some(item("default-0"))).unwrap();
    assert_eq!(scene.queue.purge(std::slice::from_ref(purged)).await.unwrap(), 1);
    scene.kill().await;
    assert_eq!(scene.letters(1).await[0].item, Some(item("default-1")));
    scene.settles_at(depth(0, 0, 0, 1)).await;
    assert!(scene.pending().await.is_empty());
}

/// A task that takes its holder down each time becomes a dead letter, and the others go on.
pub async fn a_task_whose_holder_always_dies_is_given_up<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    scene.publish(&[task("poison", LANE)]).await;
    for _ in 0..scene.harness.max_deliveries() {
        let mut consumer = scene.consumer(1).await;
        drop(take(&mut consumer).await);
    }
    scene.publish(&[task("sound", LANE)]).await;
    assert_eq!(ids(&drain(&mut scene.consumer(1).await, 1).await), ["sound"]);
    let letter = scene.letters(1).await.remove(0);
    assert_eq!(letter.failure.reason, Reason::HolderDied);
    assert_eq!(letter.task, Some(task("poison", LANE)));
    scene.kill().await;
    scene.settles_at(depth(0, 0, 0, 1)).await;
}

/// What is left of the dead, as values in this process, changes nothing.
pub async fn what_was_held_before_a_death_has_no_effect_after_it<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 2)).await;
    let mut before = scene.consumer(2).await;
    let old = take_many(&mut before, 2).await;
    scene.kill().await;
    let mut consumer = scene.consumer(2).await;
    let mut new = take_many(&mut consumer, 2).await;
    drop(old);
    drop(before);
    scene.settles_at(depth(0, 2, 0, 0)).await;
    for claim in &mut new {
        claim.ack().await.unwrap();
    }
    scene.settles_at(depth(0, 0, 0, 0)).await;
}
