//! The ways a hold ends.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Harness,
    scene::{LANE, Scene, depth, drain, failure, ids, item, nothing, sorted, take, task, tasks},
};
use crate::{
    Failure, QueueError, Reason,
    message::{MAX_EVIDENCE, MAX_FAILURE_BYTES},
};

/// Released: ready at once, as it was.
pub async fn release_returns_a_task_at_once_and_unchanged<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 1)).await;
    let mut consumer = scene.consumer(1).await;
    for _ in 0..3 {
        let mut claim = take(&mut consumer).await;
        assert_eq!(*claim.task(), task("default-0", LANE));
        claim.release().await.unwrap();
    }
    scene.settles_at(depth(1, 0, 0, 0)).await;
}

/// Retried: hidden until the delay has passed, then one attempt further and with why the last one failed.
pub async fn retry_hides_a_task_and_counts<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 1)).await;
    let mut consumer = scene.consumer(1).await;
    let delay = scene.delay(Duration::from_mins(10), Duration::from_secs(2));
    for attempt in 1..4 {
        let mut claim = take(&mut consumer).await;
        assert_eq!(claim.task().attempt, attempt);
        claim.retry(delay, failure(Reason::OpenFailed, &format!("failure {attempt}"))).await.unwrap();
        scene.settles_at(depth(0, 0, 1, 0)).await;
        nothing(&mut consumer).await;
        scene.harness.pass(delay).await;
        scene.settles_at(depth(1, 0, 0, 0)).await;
    }
    let claim = take(&mut consumer).await;
    let expected = failure(Reason::OpenFailed, "failure 3");
    let task = crate::Task { attempt: 4, last_failure: Some(expected), ..task("default-0", LANE) };
    assert_eq!(*claim.task(), task);
}

/// A consumer that waits gets a delayed task when its delay is over, though nothing else happens.
pub async fn a_waiting_consumer_is_woken_by_the_end_of_a_delay<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 1)).await;
    let mut consumer = scene.consumer(1).await;
    let delay = Duration::from_millis(300);
    let start = scrapefleet_policy::Instant::now();
    take(&mut consumer).await.retry(delay, failure(Reason::OpenFailed, "no")).await.unwrap();
    assert_eq!(take(&mut consumer).await.task().attempt, 2);
    assert!(start.elapsed() >= delay, "too early: {:?}", start.elapsed());
}

/// A dead letter has the task as it was, the reason, and what was said and seen.
pub async fn dead_keeps_the_task_and_why<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    let mut consumer = scene.consumer(1).await;
    scene.publish(&[task("doomed", LANE)]).await;
    let mut claim = take(&mut consumer).await;
    claim.retry(Duration::ZERO, failure(Reason::OpenFailed, "first")).await.unwrap();
    let mut claim = take(&mut consumer).await;
    claim.dead(failure(Reason::PageCrashed, "gone for good")).await.unwrap();
    let letter = scene.letters(1).await.remove(0);
    assert_eq!(letter.item, Some(item("doomed")));
    assert_eq!(letter.failure, failure(Reason::PageCrashed, "gone for good"));
    let dead = letter.task.unwrap();
    assert_eq!((dead.attempt, dead.last_failure), (2, Some(failure(Reason::OpenFailed, "first"))));
    assert_eq!(letter.raw, None);
    nothing(&mut consumer).await;
}

/// Replayed: a ready task at attempt 1 again, and no dead letter any more.
pub async fn replay_brings_a_dead_letter_back<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 2)).await;
    let mut consumer = scene.consumer(1).await;
    for _ in 0..2 {
        take(&mut consumer).await.retry(Duration::ZERO, failure(Reason::OpenFailed, "first")).await.unwrap();
    }
    for _ in 0..2 {
        take(&mut consumer).await.dead(failure(Reason::TakeFailed, "second")).await.unwrap();
    }
    scene.letters(2).await;
    scene.queue.replay(&item("default-1")).await.unwrap();
    assert_eq!(scene.letters(1).await[0].item, Some(item("default-0")));
    let claim = take(&mut consumer).await;
    assert_eq!((claim.task().id.as_str(), claim.task().attempt), ("default-1", 1));
}

/// Only a dead letter can be replayed.
pub async fn replay_of_what_is_not_dead_says_so<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 1)).await;
    for name in ["default-0", "never-heard-of"] {
        let error = scene.queue.replay(&item(name)).await.unwrap_err();
        assert!(matches!(&error, QueueError::NotFound(what) if what.contains(name)), "{error}");
    }
    scene.settles_at(depth(1, 0, 0, 0)).await;
}

/// Purged: no dead letter any more, and no task either. What is not there is not counted, and the others stay.
pub async fn purge_forgets_these_letters_and_no_others<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&[tasks("a", 3), tasks("b", 2)].concat()).await;
    let mut consumer = scene.consumer_of(5, &[("a", 1), ("b", 1)]).await;
    for _ in 0..5 {
        take(&mut consumer).await.dead(failure(Reason::TakeFailed, "no")).await.unwrap();
    }
    let mut letters = scene.letters(5).await;
    letters.retain(|letter| ["a-1", "b-0"].contains(&letter.item.as_ref().unwrap().as_str()));
    assert_eq!(scene.queue.purge(&letters).await.unwrap(), 2);
    assert_eq!(scene.queue.purge(&letters).await.unwrap(), 0, "they are gone");
    let left = scene.letters(3).await.into_iter().map(|letter| letter.item.unwrap().to_string());
    assert_eq!(sorted(left), ["a-0", "a-2", "b-1"]);
    scene.settles_at(depth(0, 0, 0, 3)).await;
    assert_eq!(scene.queue.purge(&[]).await.unwrap(), 0);
    let purged = scene.queue.replay(&item("a-1")).await.unwrap_err();
    assert!(matches!(purged, QueueError::NotFound(_)), "{purged}");
    scene.queue.replay(&item("a-0")).await.unwrap();
    assert_eq!(take(&mut consumer).await.task().id, item("a-0"));
}

/// The second finish of one claim is refused and changes nothing.
pub async fn a_claim_is_finished_once<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 3)).await;
    let mut consumer = scene.consumer(3).await;
    let mut acked = take(&mut consumer).await;
    acked.ack().await.unwrap();
    let mut released = take(&mut consumer).await;
    released.release().await.unwrap();
    for claim in [&mut acked, &mut released] {
        assert!(matches!(claim.ack().await, Err(QueueError::Refused(_))));
        assert!(matches!(claim.release().await, Err(QueueError::Refused(_))));
        assert!(matches!(
            claim.retry(Duration::ZERO, failure(Reason::OpenFailed, "")).await,
            Err(QueueError::Refused(_))
        ));
        assert!(matches!(claim.dead(failure(Reason::OpenFailed, "")).await, Err(QueueError::Refused(_))));
    }
    drop((acked, released));
    scene.settles_at(depth(2, 0, 0, 0)).await;
    assert_eq!(ids(&drain(&mut consumer, 2).await).len(), 2);
}

/// What is said of a failure is cut to what is kept, also when it comes from a page.
pub async fn failures_are_bounded<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.publish(&tasks(LANE, 1)).await;
    let mut consumer = scene.consumer(1).await;
    let at = Timestamp::UNIX_EPOCH;
    let (message, evidence) = ("ü".repeat(MAX_FAILURE_BYTES), vec!["k".repeat(9000); 100]);
    let long = Failure { reason: Reason::OpenFailed, message, at, evidence };
    take(&mut consumer).await.retry(Duration::ZERO, long.clone()).await.unwrap();
    let mut claim = take(&mut consumer).await;
    let kept = claim.task().last_failure.clone().unwrap();
    assert!(kept.message.len() <= MAX_FAILURE_BYTES && kept.evidence.len() <= MAX_EVIDENCE);
    claim.dead(long).await.unwrap();
    let letter = scene.letters(1).await.remove(0);
    assert!(
        letter.failure.message.len() <= MAX_FAILURE_BYTES && letter.failure.evidence.len() <= MAX_EVIDENCE
    );
}
