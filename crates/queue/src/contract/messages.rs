//! Messages: what survives in them, and what becomes of those that are none.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Harness,
    scene::{LANE, Scene, depth, drain, failure, ids, item, lane, nothing, take, task},
};
use crate::{
    QueueError, Reason,
    message::{MAX_MESSAGE_BYTES, MAX_RAW_BYTES},
};

/// Fields this program does not know are there after every way a task can go.
pub async fn unknown_fields_survive_everything<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    let mut original = task("travelled", LANE);
    original.extra.insert("x-new".to_owned(), json!({"deep": [{"er": 1}], "ünïcode": "\u{1F600}\u{0}"}));
    original.extra.insert("big".to_owned(), json!(u64::MAX));
    scene.publish(std::slice::from_ref(&original)).await;
    let mut consumer = scene.consumer(1).await;
    take(&mut consumer).await.release().await.unwrap();
    drop(take(&mut consumer).await);
    take(&mut consumer).await.retry(Duration::ZERO, failure(Reason::OpenFailed, "")).await.unwrap();
    take(&mut consumer).await.dead(failure(Reason::OpenFailed, "")).await.unwrap();
    assert_eq!(scene.letters(1).await[0].task.as_ref().unwrap().extra, original.extra);
    scene.queue.replay(&item("travelled")).await.unwrap();
    scene.kill().await;
    let pending = scene.queue.pending().await.unwrap();
    assert_eq!(pending[0].0.extra, original.extra);
    let mut consumer = scene.consumer(1).await;
    let claim = take(&mut consumer).await;
    assert_eq!(claim.task().extra, original.extra);
    assert_eq!(claim.task().deadline, original.deadline);
}

fn of_version(version: u32) -> Vec<u8> {
    let mut value = serde_json::to_value(task("tomorrow", LANE)).unwrap();
    value["schemaVersion"] = json!(version);
    serde_json::to_vec(&value).unwrap()
}

/// It is given up with that reason and shown, bounded; it never comes twice and never keeps the others waiting.
pub async fn what_is_no_task_becomes_a_dead_letter<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    let long = [b"{\"id\": \"long\", \"junk\": \"".as_slice(), &vec![b'x'; 50_000], b"\"}"].concat();
    let messages = [b"".to_vec(), b"{oh no".to_vec(), b"\xff\x00\xfe".to_vec(), of_version(99), long];
    for message in &messages {
        scene.harness.put_raw(&lane(LANE), message).await;
    }
    scene.publish(&[task("sound", LANE)]).await;
    assert_eq!(ids(&drain(&mut scene.consumer(2).await, 1).await), ["sound"]);
    for _ in 0..2 {
        let letters = scene.letters(messages.len()).await;
        assert!(
            letters.iter().all(|letter| letter.failure.reason == Reason::Unreadable && letter.task.is_none())
        );
        assert!(letters.iter().all(|letter| !letter.failure.message.is_empty()));
        assert!(letters.iter().all(|letter| letter.raw.as_ref().unwrap().len() <= MAX_RAW_BYTES));
        let known = |name: &str| letters.iter().filter(|l| l.item == Some(item(name))).count();
        assert_eq!((known("tomorrow"), known("long")), (1, 1));
        scene.kill().await;
        nothing(&mut scene.consumer(2).await).await;
    }
    // Replayed by a program that still cannot read it, it ends where it was, whole.
    scene.queue.replay(&item("tomorrow")).await.unwrap();
    let letters = scene.letters_and_no_task(messages.len()).await;
    let raw = letters.iter().find(|l| l.item == Some(item("tomorrow"))).unwrap().raw.clone().unwrap();
    let raw: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(raw["schemaVersion"], 99);
}

/// Too large is said at once, nothing of that publish is queued, and the queue goes on.
pub async fn a_message_that_is_too_large_is_refused<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    let mut large = task("large", LANE);
    large.extra.insert("blob".to_owned(), json!("x".repeat(MAX_MESSAGE_BYTES)));
    let error = scene.queue.publish(vec![task("first", LANE), large]).await.unwrap_err();
    assert!(matches!(&error, QueueError::Refused(why) if why.contains("large")), "{error}");
    scene.settles_at(depth(0, 0, 0, 0)).await;
    let mut fits = task("fits", LANE);
    fits.extra.insert("blob".to_owned(), json!("x".repeat(MAX_MESSAGE_BYTES - 1000)));
    scene.publish(std::slice::from_ref(&fits)).await;
    let mut consumer = scene.consumer(1).await;
    take(&mut consumer)
        .await
        .retry(Duration::ZERO, failure(Reason::OpenFailed, &"y".repeat(2000)))
        .await
        .unwrap();
    assert_eq!(take(&mut consumer).await.task().extra, fits.extra);
}

/// What is no task and says of which item it is neither can be purged like any other letter, each for itself.
pub async fn what_is_no_task_can_be_purged<H: Harness>(harness: H) {
    let mut scene = Scene::of(harness);
    for message in [b"{oh no".to_vec(), b"\xff\x00\xfe".to_vec(), of_version(99)] {
        scene.harness.put_raw(&lane(LANE), &message).await;
    }
    let letters = scene.letters_and_no_task(3).await;
    let nobodys = letters.iter().find(|letter| letter.item.is_none()).unwrap();
    assert_eq!(scene.queue.purge(std::slice::from_ref(nobodys)).await.unwrap(), 1);
    let left = scene.letters(2).await;
    assert!(!left.contains(nobodys));
    assert_eq!(scene.queue.purge(&left).await.unwrap(), 2);
    scene.kill().await;
    scene.settles_at(depth(0, 0, 0, 0)).await;
}

/// The ledger accounts for a message that is no task even if nobody ever tries to take it.
pub async fn what_is_no_task_is_accounted_for_untaken<H: Harness>(harness: H) {
    let scene = Scene::of(harness);
    scene.harness.put_raw(&lane(LANE), &of_version(2)).await;
    scene.publish(&[task("sound", LANE)]).await;
    while scene.pending().await.len() + scene.queue.dead_letters().await.unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(scene.letters(1).await[0].item, Some(item("tomorrow")));
    scene.settles_at(depth(1, 0, 0, 1)).await;
}
