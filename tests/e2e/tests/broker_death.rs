//! The queue when its broker dies in the middle of everything, and when it takes nothing for a while.
//!
//! A binary of its own whose tests take turns: cargo runs one binary after the other, so nobody else loses the broker. With
//! `SCRAPEFLEET_E2E_RABBITMQ` (see `queue.rs`), `SCRAPEFLEET_E2E_RABBITMQ_RESTART` is the shell command that kills that
//! broker and starts it again, and `SCRAPEFLEET_E2E_RABBITMQ_CONTROL` the one that is its `rabbitmqctl`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod broker;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker::{Broker, options, task};
use futures::StreamExt as _;
use jiff::Timestamp;
use scrapefleet_policy::{Instant, within};
use scrapefleet_queue::contract::Harness as _;
use scrapefleet_queue::{Claim, Consumer, Depth, Failure, QueueError, Reason, TaskQueue, TaskState};

/// Whose turn it is: the broker is everybody's.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How long the broker takes nothing: longer than a call may take that was begun by then, or 10 seconds later.
const ALARM: Duration = Duration::from_secs(30);
/// How many tasks are published, one by one, around the death.
const TASKS: usize = 300;
/// After how many acks the broker dies.
const DIES_AFTER: usize = 60;
/// How long all may take, a start of the broker included.
const ALL_WITHIN: Duration = Duration::from_mins(4);
/// Longer than the broker is away.
const DELAY: Duration = Duration::from_mins(2);

/// What happened to the tasks.
#[derive(Default)]
struct Record {
    /// Published with success at the first attempt: there is one message of each.
    single: BTreeSet<String>,
    /// Published with success.
    published: BTreeSet<String>,
    acked: BTreeSet<String>,
    /// An ack was asked for; one that failed may have happened all the same.
    asked: BTreeSet<String>,
    /// Handed out after an ack had returned.
    again: BTreeSet<String>,
}

fn failure() -> Failure {
    let (reason, message) = (Reason::TakeFailed, "for the test".to_owned());
    Failure { reason, message, at: Timestamp::UNIX_EPOCH, evidence: Vec::new() }
}

async fn take(consumer: &mut Box<dyn Consumer>) -> Box<dyn Claim> {
    within(ALL_WITHIN, "a task", consumer.next()).await.unwrap().unwrap()
}

/// Publishes one by one, each until it is confirmed.
async fn publish_all(queue: Arc<dyn TaskQueue>, record: Arc<Mutex<Record>>) {
    for n in 0..TASKS {
        let name = format!("item-{n}");
        let mut attempts = 0;
        while queue.publish(vec![task(&name, "fast")]).await.is_err() {
            attempts += 1;
        }
        let mut record = record.lock().unwrap();
        if attempts == 0 {
            record.single.insert(name.clone());
        }
        record.published.insert(name);
    }
}

/// Takes and acks until it is stopped. What cannot be acked comes back.
async fn work(mut consumer: Box<dyn Consumer>, record: Arc<Mutex<Record>>, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    loop {
        let mut claim = consumer.next().await.unwrap();
        let name = claim.task().id.to_string();
        assert_eq!(claim.task().attempt, 1);
        if record.lock().unwrap().acked.contains(&name) {
            record.lock().unwrap().again.insert(name.clone());
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(..20))).await;
        record.lock().unwrap().asked.insert(name.clone());
        if claim.ack().await.is_ok() {
            record.lock().unwrap().acked.insert(name);
        }
    }
}

async fn until(what: &'static str, mut done: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(ALL_WITHIN, what, looking).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_broker_dies_and_everything_goes_on_by_itself() {
    let _turn = TURN.lock().await;
    let broker = Broker::start().await;
    let queue = broker.queue();
    let record: Arc<Mutex<Record>> = Arc::default();

    // One of each state that must survive: held, delayed, dead, locked.
    let quiet = ["held", "delayed", "dead"].map(|name| task(name, "slow"));
    queue.publish(quiet.to_vec()).await.unwrap();
    let mut holder = queue.consume(options(3, &["slow"])).await.unwrap();
    let mut held = take(&mut holder).await;
    let mut delayed = take(&mut holder).await;
    delayed.retry(DELAY, failure()).await.unwrap();
    let mut dead = take(&mut holder).await;
    dead.dead(failure()).await.unwrap();
    let lock = queue.try_lock("watcher").await.unwrap().unwrap();

    let mut busy = tokio::task::JoinSet::new();
    for seed in 0..2 {
        let consumer = queue.consume(options(4, &["fast"])).await.unwrap();
        busy.spawn(work(consumer, Arc::clone(&record), seed));
    }
    let publisher = tokio::spawn(publish_all(Arc::clone(&queue), Arc::clone(&record)));

    until("some acks", async || record.lock().unwrap().acked.len() >= DIES_AFTER).await;
    assert!(!publisher.is_finished(), "the broker must die in the middle");
    broker.restart().await;

    within(ALL_WITHIN, "publishing", publisher).await.unwrap().unwrap();
    until("an ack of each", async || record.lock().unwrap().asked.len() == TASKS).await;

    // What was held before is void and comes again to the same consumer, as it was.
    assert!(held.ack().await.is_err() && !lock.held());
    drop(held);
    let again = take(&mut holder).await;
    assert_eq!((again.task().id.as_str(), again.task().attempt), ("held", 1));
    assert!(queue.try_lock("watcher").await.unwrap().is_some());

    let quiet_depth = Depth { ready: 0, held: 1, delayed: 1, dead: 1 };
    until("the depth to settle", async || queue.depth().await.is_ok_and(|depth| depth == quiet_depth)).await;
    let twice: Vec<String> = {
        let record = record.lock().unwrap();
        record.again.intersection(&record.single).cloned().collect()
    };
    assert!(twice.is_empty(), "acked, and handed out again: {twice:?}");
    let letters = queue.dead_letters().await.unwrap();
    assert_eq!(letters.iter().map(|l| l.item.as_ref().unwrap().as_str()).collect::<Vec<_>>(), ["dead"]);
    let pending = queue.pending().await.unwrap();
    let state = |name: &str| pending.iter().find(|(task, _)| task.id.as_str() == name).map(|(_, s)| *s);
    assert_eq!(
        (pending.len(), state("held"), state("delayed")),
        (2, Some(TaskState::Held), Some(TaskState::Delayed))
    );
    let journal: BTreeSet<String> =
        queue.journal().await.unwrap().map(|entry| entry.unwrap().id.to_string()).collect().await;
    assert_eq!(journal.len(), TASKS + quiet.len());
    busy.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_stays_held_while_the_broker_takes_nothing() {
    let _turn = TURN.lock().await;
    let broker = Broker::start().await;
    let queue = broker.queue();
    queue.publish(["held", "ended", "waiting"].map(|name| task(name, "fast")).to_vec()).await.unwrap();
    let mut consumer = queue.consume(options(3, &["fast"])).await.unwrap();
    let mut held = take(&mut consumer).await;
    let mut ended = take(&mut consumer).await;
    let lock = queue.try_lock("watcher").await.unwrap().unwrap();

    let alarm = broker.out_of_memory().await;
    let began = Instant::now();
    let takes_nothing = |answer: Result<(), QueueError>| match answer {
        Err(QueueError::Unreachable(why)) => assert!(why.contains("takes nothing"), "{why}"),
        other => panic!("{other:?}"),
    };
    // A consumer that looks for a task only now has to wait as well.
    let waiting = tokio::spawn(async move { (take(&mut consumer).await, consumer) });
    let (published, acked) = tokio::join!(queue.publish(vec![task("late", "fast")]), ended.ack());
    takes_nothing(published.map(drop));
    takes_nothing(acked);
    while began.elapsed() < ALARM {
        takes_nothing(queue.publish(vec![task("late", "fast")]).await.map(drop));
        takes_nothing(ended.ack().await);
    }
    assert!(lock.held() && !waiting.is_finished());
    drop(alarm);

    until("an ack", async || ended.ack().await.is_ok()).await;
    until("a publish", async || queue.publish(vec![task("late", "fast")]).await.is_ok()).await;
    assert!(lock.held(), "the connection was lost");
    held.ack().await.unwrap();
    let (mut claim, mut consumer) = within(ALL_WITHIN, "a task", waiting).await.unwrap().unwrap();
    let mut names = BTreeSet::from([claim.task().id.to_string()]);
    claim.ack().await.unwrap();
    while !queue.pending().await.unwrap().is_empty() {
        let mut claim = take(&mut consumer).await;
        names.insert(claim.task().id.to_string());
        claim.ack().await.unwrap();
    }
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["late", "waiting"], "handed out afterwards");
}
