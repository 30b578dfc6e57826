//! What the tests of the suite say, in the words they say it with.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use scrapefleet_api::{ItemId, LaneName};
use scrapefleet_policy::within;
use serde_json::json;

use super::Harness;
use crate::{
    Claim, Consumer, ConsumerOptions, DeadLetter, Depth, Failure, Lane, Reason, Task, TaskQueue, TaskState,
};

/// How long anything that must happen may take.
const SOON: Duration = Duration::from_secs(20);
/// How long what must not happen is given to happen.
const QUIET: Duration = Duration::from_millis(120);
/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// The lane of tests that need only one.
pub(super) const LANE: &str = "default";

/// A harness with its present queue.
pub(super) struct Scene<H> {
    pub(super) harness: H,
    pub(super) queue: Arc<dyn TaskQueue>,
}

pub(super) fn lane(name: &str) -> LaneName {
    LaneName::new(name).unwrap()
}

pub(super) fn item(name: &str) -> ItemId {
    ItemId::new(name).unwrap()
}

pub(super) fn task(id: &str, lane: &str) -> Task {
    let task = json!({
        "schemaVersion": 1, "fleet": "contract", "id": id, "url": format!("http://site/{id}"), "lane": lane,
        "discoveredAt": "2026-01-02T03:04:05.678Z", "attempt": 1, "deadline": "2036-01-01T00:00:00Z",
        "fromAnotherVersion": {"kept": [true, null, 1.5, "ü"]}
    });
    serde_json::from_value(task).unwrap()
}

/// `count` tasks of one lane, numbered.
pub(super) fn tasks(lane: &str, count: usize) -> Vec<Task> {
    (0..count).map(|n| task(&format!("{lane}-{n}"), lane)).collect()
}

pub(super) fn ids(tasks: &[Task]) -> Vec<String> {
    sorted(tasks.iter().map(|task| task.id.to_string()))
}

pub(super) fn sorted(ids: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut ids: Vec<String> = ids.into_iter().collect();
    ids.sort();
    ids
}

pub(super) fn failure(reason: Reason, message: &str) -> Failure {
    let at: Timestamp = "2026-02-03T04:05:06Z".parse().unwrap();
    Failure { reason, message: message.to_owned(), at, evidence: vec!["shot.png".to_owned()] }
}

pub(super) fn depth(ready: u64, held: u64, delayed: u64, dead: u64) -> Depth {
    Depth { ready, held, delayed, dead }
}

impl<H: Harness> Scene<H> {
    pub(super) fn of(harness: H) -> Self {
        let queue = harness.queue();
        Self { harness, queue }
    }

    pub(super) async fn kill(&mut self) {
        self.harness.kill().await;
        self.queue = self.harness.queue();
    }

    /// A delay that is seen counted before it ends: `long` where time can be skipped, else `short` beyond what the counts
    /// lag behind.
    pub(super) fn delay(&self, long: Duration, short: Duration) -> Duration {
        if self.harness.skips_time() { long } else { short + 2 * self.harness.lag() }
    }

    pub(super) async fn publish(&self, tasks: &[Task]) {
        let done = self.queue.publish(tasks.to_vec()).await.unwrap();
        assert_eq!(done.new + done.known, tasks.len());
    }

    /// A consumer of the one lane.
    pub(super) async fn consumer(&self, holds: usize) -> Box<dyn Consumer> {
        self.consumer_of(holds, &[(LANE, 1)]).await
    }

    pub(super) async fn consumer_of(&self, holds: usize, lanes: &[(&str, u32)]) -> Box<dyn Consumer> {
        let lanes = lanes.iter().map(|(name, weight)| Lane { name: lane(name), weight: *weight }).collect();
        self.queue.consume(ConsumerOptions { name: "suite".to_owned(), holds, lanes }).await.unwrap()
    }

    /// Waits until the depth is this, and stays it for a glance.
    pub(super) async fn settles_at(&self, expected: Depth) {
        let seen = || async { self.queue.depth().await.unwrap() };
        let settled = within(SOON, "depth", async {
            while seen().await != expected {
                tokio::time::sleep(GLANCE).await;
            }
        });
        let settled = settled.await.is_ok();
        assert!(settled, "depth is {:?} and not {expected:?}", seen().await);
    }

    pub(super) async fn lane_depths(&self) -> BTreeMap<String, Depth> {
        let depths = self.queue.lane_depths().await.unwrap();
        let kept = depths.into_iter().filter(|(_, depth)| *depth != Depth::default());
        kept.map(|(lane, depth)| (lane.to_string(), depth)).collect()
    }

    pub(super) async fn pending(&self) -> BTreeMap<String, TaskState> {
        let pending = self.queue.pending().await.unwrap();
        let count = pending.len();
        let by_id: BTreeMap<_, _> =
            pending.into_iter().map(|(task, state)| (task.id.to_string(), state)).collect();
        assert_eq!(by_id.len(), count, "an item is pending twice");
        by_id
    }

    /// Waits until there are `count` dead letters.
    pub(super) async fn letters(&self, count: usize) -> Vec<DeadLetter> {
        let seen = || async { self.queue.dead_letters().await.unwrap() };
        let found = within(SOON, "dead letters", async {
            loop {
                let letters = seen().await;
                if letters.len() == count {
                    return letters;
                }
                tokio::time::sleep(GLANCE).await;
            }
        });
        let found = found.await.ok();
        assert!(found.is_some(), "there are not {count} dead letters but {:?}", seen().await);
        found.unwrap_or_default()
    }

    /// The same while a consumer waits for tasks all along, of which none must come.
    pub(super) async fn letters_and_no_task(&self, count: usize) -> Vec<DeadLetter> {
        let mut consumer = self.consumer(2).await;
        tokio::select! {
            came = consumer.next() => panic!("no task should come, but {came:?} did"),
            letters = self.letters(count) => letters,
        }
    }
}

/// The next task, which must come.
pub(super) async fn take(consumer: &mut Box<dyn Consumer>) -> Box<dyn Claim> {
    within(SOON, "next", consumer.next()).await.expect("a task must come").unwrap()
}

/// The next `count` tasks, which must come.
pub(super) async fn take_many(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Box<dyn Claim>> {
    let mut claims = Vec::new();
    for _ in 0..count {
        claims.push(take(consumer).await);
    }
    claims
}

/// Nothing more must come.
pub(super) async fn nothing(consumer: &mut Box<dyn Consumer>) {
    if let Ok(claim) = within(QUIET, "nothing", consumer.next()).await {
        panic!("nothing should come, but {claim:?} did");
    }
}

/// Takes and acks all there is, which must be `count` tasks.
pub(super) async fn drain(consumer: &mut Box<dyn Consumer>, count: usize) -> Vec<Task> {
    let mut done = Vec::new();
    for _ in 0..count {
        let mut claim = take(consumer).await;
        claim.ack().await.unwrap();
        done.push(claim.task().clone());
    }
    nothing(consumer).await;
    done
}

pub(super) fn claimed(claims: &[Box<dyn Claim>]) -> Vec<String> {
    sorted(claims.iter().map(|claim| claim.task().id.to_string()))
}
