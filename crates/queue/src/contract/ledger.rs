//! What can be counted from outside: depth, pending, the journal.

use std::{collections::BTreeMap, time::Duration};

use futures::StreamExt;

use super::{
    Harness,
    scene::{LANE, Scene, depth, drain, failure, ids, take, take_many, task, tasks},
};
use crate::{JournalEntry, Published, Reason, TaskState};

/// One task in each state and each lane, counted where it is.
pub async fn depth_is_exact_when_quiet<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    scene.settles_at(depth(0, 0, 0, 0)).await;
    scene.publish(&tasks("a", 5)).await;
    scene.publish(&tasks("b", 3)).await;
    let mut consumer = scene.consumer_of(4, &[("a", 1)]).await;
    let mut claims = take_many(&mut consumer, 4).await;
    claims[0].ack().await.unwrap();
    claims[1].dead(failure(Reason::TakeFailed, "")).await.unwrap();
    claims[2].retry(Duration::from_hours(1), failure(Reason::TakeFailed, "")).await.unwrap();
    scene.settles_at(depth(4, 1, 1, 1)).await;
    let lanes = BTreeMap::from([("a".to_owned(), depth(1, 1, 1, 1)), ("b".to_owned(), depth(3, 0, 0, 0))]);
    assert_eq!(scene.lane_depths().await, lanes);
    scene.kill().await;
    scene.settles_at(depth(5, 0, 1, 1)).await;
    assert_eq!(scene.lane_depths().await["a"], depth(2, 0, 1, 1));
}

/// Exactly what is ready, held or delayed, with its state.
pub async fn pending_is_what_is_not_finished<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 5)).await;
    let mut consumer = scene.consumer(4).await;
    let mut claims = take_many(&mut consumer, 4).await;
    let name = |n: usize, claims: &[Box<dyn crate::Claim>]| claims[n].task().id.to_string();
    claims[0].ack().await.unwrap();
    claims[1].dead(failure(Reason::TakeFailed, "")).await.unwrap();
    claims[2].retry(Duration::from_hours(1), failure(Reason::TakeFailed, "")).await.unwrap();
    scene.settles_at(depth(1, 1, 1, 1)).await;
    let pending = scene.pending().await;
    assert_eq!(pending.len(), 3);
    assert_eq!(pending[&name(2, &claims)], TaskState::Delayed);
    assert_eq!(pending[&name(3, &claims)], TaskState::Held);
    assert_eq!(pending.values().filter(|state| **state == TaskState::Ready).count(), 1);
    scene.kill().await;
    scene.settles_at(depth(2, 0, 1, 1)).await;
    assert_eq!(scene.pending().await[&name(3, &claims)], TaskState::Ready);
}

/// Every item that was ever published, once, in order, whatever became of it.
pub async fn the_journal_has_every_item_in_order<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    let published = tasks(LANE, 600);
    for part in published.chunks(150) {
        scene.publish(part).await;
    }
    let mut consumer = scene.consumer(3).await;
    let mut claims = take_many(&mut consumer, 3).await;
    claims[0].ack().await.unwrap();
    claims[1].dead(failure(Reason::TakeFailed, "")).await.unwrap();
    claims[2].retry(Duration::ZERO, failure(Reason::TakeFailed, "")).await.unwrap();
    let expected: Vec<JournalEntry> = published.iter().map(JournalEntry::of).collect();
    for _ in 0..2 {
        let journal: Vec<_> = scene.queue.journal().await.unwrap().map(Result::unwrap).collect().await;
        assert_eq!(journal, expected);
        scene.kill().await;
    }
}

/// Publishing an item again changes nothing, whatever became of the first; where the queue knows, it says so.
pub async fn a_known_item_is_left_alone<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    if !scene.harness.dedups() {
        let done = scene.queue.publish(tasks(LANE, 2)).await.unwrap();
        assert_eq!(done, Published { new: 2, known: 0 }, "a queue that cannot know counts all as new");
        return;
    }
    scene.publish(&tasks(LANE, 2)).await;
    let twice = vec![task("default-1", LANE), task("new", LANE), task("new", LANE)];
    assert_eq!(scene.queue.publish(twice.clone()).await.unwrap(), Published { new: 1, known: 2 });
    let mut consumer = scene.consumer(1).await;
    take(&mut consumer).await.dead(failure(Reason::TakeFailed, "")).await.unwrap();
    assert_eq!(drain(&mut consumer, 2).await.len(), 2);
    scene.kill().await;
    let again = [tasks(LANE, 2), twice].concat();
    assert_eq!(ids(&again).len(), 5);
    assert_eq!(scene.queue.publish(again).await.unwrap(), Published { new: 0, known: 5 });
    scene.settles_at(depth(0, 0, 0, 1)).await;
    assert_eq!(scene.queue.journal().await.unwrap().count().await, 3);
}
