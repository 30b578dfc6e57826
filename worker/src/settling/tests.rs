use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use scrapefleet_api::{FleetName, ItemId, LaneName};
use scrapefleet_queue::{Failure, Reason, Task, task::SCHEMA_VERSION};

use super::*;

/// What was asked of which claim.
type Asked = Arc<Mutex<Vec<(&'static str, &'static str)>>>;

/// A claim that answers as it is told.
#[derive(Debug)]
struct Scripted {
    name: &'static str,
    task: Task,
    answer: Result<(), QueueError>,
    asked: Asked,
}

impl Scripted {
    fn hear(&self, what: &'static str) -> Result<(), QueueError> {
        self.asked.lock().unwrap().push((self.name, what));
        self.answer.clone()
    }
}

#[async_trait]
impl Claim for Scripted {
    fn task(&self) -> &Task {
        &self.task
    }

    async fn ack(&mut self) -> Result<(), QueueError> {
        self.hear("ack")
    }

    async fn release(&mut self) -> Result<(), QueueError> {
        self.hear("release")
    }

    async fn retry(&mut self, _: Duration, _: Failure) -> Result<(), QueueError> {
        self.hear("retry")
    }

    async fn dead(&mut self, _: Failure) -> Result<(), QueueError> {
        self.hear("dead")
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.asked.lock().unwrap().push((self.name, "drop"));
    }
}

fn task(attempt: u32) -> Task {
    Task {
        schema_version: SCHEMA_VERSION,
        fleet: FleetName::new("fleet").unwrap(),
        id: ItemId::new("item").unwrap(),
        url: "http://site.test/item".to_owned(),
        lane: LaneName::default(),
        discovered_at: Timestamp::UNIX_EPOCH,
        attempt,
        deadline: None,
        last_failure: None,
        extra: serde_json::Map::default(),
    }
}

fn failure() -> Failure {
    let message = "as told".to_owned();
    Failure { reason: Reason::OpenFailed, message, at: Timestamp::UNIX_EPOCH, evidence: Vec::new() }
}

/// Claims by name, attempt and answer, in the order in which they came.
fn claims(list: &[(&'static str, u32, Result<(), QueueError>)], asked: &Asked, most: usize) -> Claims {
    let mut all = list.iter().map(|(name, attempt, answer)| {
        let asked = Arc::clone(asked);
        Box::new(Scripted { name, task: task(*attempt), answer: answer.clone(), asked }) as Box<dyn Claim>
    });
    let mut claims = Claims::of(all.next().unwrap());
    all.for_each(|claim| claims.add(claim, most));
    claims
}

fn calls(asked: &Asked) -> Vec<(&'static str, &'static str)> {
    asked.lock().unwrap().iter().copied().filter(|(_, what)| *what != "drop").collect()
}

#[tokio::test(start_paused = true)]
async fn one_goes_the_way_of_the_hold_and_the_others_are_acknowledged_after_it() {
    let retried = Ending::Retried { delay: Duration::from_secs(1), failure: failure() };
    let dead = Ending::Dead { failure: failure(), evidence: Vec::new() };
    for (ending, way) in
        [(Ending::Known, "ack"), (Ending::Released, "release"), (retried, "retry"), (dead, "dead")]
    {
        let asked = Asked::default();
        let three = claims(&[("a", 1, Ok(())), ("b", 2, Ok(())), ("c", 1, Ok(()))], &asked, 10);
        assert_eq!(three.task().attempt, 2);
        assert_eq!(settle(three, &ending, &|_| {}).await.unwrap(), 2);
        assert_eq!(calls(&asked), [("b", way), ("c", "ack"), ("a", "ack")], "{ending:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_void_claim_makes_way_for_the_next() {
    let asked = Asked::default();
    let two = claims(&[("live", 1, Ok(())), ("void", 2, Err(QueueError::Closed))], &asked, 10);
    assert_eq!(settle(two, &Ending::Released, &|_| {}).await.unwrap(), 0);
    assert_eq!(calls(&asked), [("void", "release"), ("live", "release")]);
}

#[tokio::test(start_paused = true)]
async fn where_none_can_be_finished_none_is_acknowledged() {
    let refused = || Err(QueueError::Refused("too large".to_owned()));
    let away = || Err(QueueError::Unreachable("away".to_owned()));
    for first in [refused(), away()] {
        let asked = Asked::default();
        let two = claims(&[("a", 1, Ok(())), ("b", 1, first)], &asked, 10);
        let retried = Ending::Retried { delay: Duration::ZERO, failure: failure() };
        assert!(settle(two, &retried, &|_| {}).await.is_err());
        assert!(calls(&asked).iter().all(|call| *call == ("b", "retry")), "{asked:?}");
    }
    let asked = Asked::default();
    let closed = || Err(QueueError::Closed);
    let two = claims(&[("a", 1, closed()), ("b", 1, closed())], &asked, 10);
    assert!(settle(two, &Ending::Known, &|_| {}).await.is_err());
    assert_eq!(calls(&asked).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_release_is_tried_once() {
    let asked = Asked::default();
    let away = Err(QueueError::Unreachable("away".to_owned()));
    assert!(release(claims(&[("a", 1, away)], &asked, 10)).await.is_err());
    assert_eq!(calls(&asked), [("a", "release")]);
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_than_one_connection_hands_out() {
    const MOST: usize = 4;
    let asked = Asked::default();
    let names = ["a", "b", "c", "d", "e", "f"];
    let all: Vec<_> = names.map(|name| (name, 1, Ok(()))).into();
    let kept = claims(&all, &asked, MOST);
    assert_eq!(*asked.lock().unwrap(), [("a", "drop"), ("b", "drop")], "the oldest go");
    assert_eq!(kept.by_weight().len(), MOST);
}
