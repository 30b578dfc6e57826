//! Dead letters: looking at them, bringing them back, and forgetting them.
//!
//! Looking into a queue of AMQP is taking everything out and putting it back. So one at a time looks, in the whole
//! fleet, and others wait their turn.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use lapin::{
    Channel,
    message::Delivery,
    options::{BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions, QueueDeclareOptions},
    types::FieldTable,
};
use scrapefleet_api::{ItemId, LaneName};
use scrapefleet_policy::within;
use tokio::sync::mpsc;

use super::{
    fault, letter,
    link::Link,
    lock::{self, RabbitLock},
    names::Kind,
    session::{End, Hold, Session},
};
use crate::{DeadLetter, Now, QueueError, message, purge::Wanted};

/// How long is waited for others who look at the dead letters.
const TURN_WITHIN: Duration = Duration::from_secs(20);
/// How often is asked whether they are done.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// How long the next letter may take, which is there already.
const LETTER_WITHIN: Duration = Duration::from_secs(10);
/// The lock of those who look at dead letters, beside those of the callers.
const LOCK: &str = "dead-letters";
/// How many messages are looked through for some that are no tasks, at a time.
const SWEEP: usize = 256;

/// The dead letters of these lanes.
pub(super) async fn all(
    link: &Arc<Link>,
    lanes: &[LaneName],
    now: &Now,
) -> Result<Vec<DeadLetter>, QueueError> {
    let turn = turn(link).await?;
    let channel = link.channel().await?;
    let looked = look(link, &channel, lanes, now).await;
    let back = put_back(link, &channel).await;
    link.leave(&channel).await;
    turn.free().await;
    let letters = looked?.into_iter().map(|(_, _, letter)| letter).collect();
    back.map(|()| letters)
}

/// Makes the dead letter of `item` a ready task again.
pub(super) async fn replay(
    link: &Arc<Link>,
    lanes: &[LaneName],
    item: &ItemId,
    now: &Now,
) -> Result<(), QueueError> {
    let turn = turn(link).await?;
    // Nothing is taken out that could not be put back at once.
    link.round_trip().await?;
    let session = Session::open(Arc::clone(link)).await?;
    let replayed = replay_on(&session, lanes, item, now).await;
    let back = put_back(link, &session.channel).await;
    session.close().await;
    turn.free().await;
    replayed?;
    back
}

async fn replay_on(
    session: &Session,
    lanes: &[LaneName],
    item: &ItemId,
    now: &Now,
) -> Result<(), QueueError> {
    let letters = look(&session.link, &session.channel, lanes, now).await?;
    let found = letters.into_iter().find(|(_, _, letter)| letter.item.as_ref() == Some(item));
    let (lane, delivery, _) = found.ok_or_else(|| message::no_letter(item))?;
    let again = letter::about(Kind::Ready, &lane, Some(item), message::replayed(&delivery.data));
    session.publish(again).await?;
    session.ack(&delivery.acker).await
}

/// Forgets these letters for good, and answers how many it found.
pub(super) async fn purge(
    link: &Arc<Link>,
    lanes: &[LaneName],
    letters: &[DeadLetter],
    now: &Now,
) -> Result<usize, QueueError> {
    let turn = turn(link).await?;
    // Nothing is taken out that could not be put back at once.
    link.round_trip().await?;
    let session = Session::open(Arc::clone(link)).await?;
    let purged = purge_on(&session, lanes, Wanted::of(letters), now).await;
    let back = put_back(link, &session.channel).await;
    session.close().await;
    turn.free().await;
    let purged = purged?;
    back.map(|()| purged)
}

async fn purge_on(
    session: &Session,
    lanes: &[LaneName],
    mut wanted: Wanted,
    now: &Now,
) -> Result<usize, QueueError> {
    let mut purged = 0;
    for (_, delivery, letter) in look(&session.link, &session.channel, lanes, now).await? {
        if wanted.take(&letter) {
            session.ack(&delivery.acker).await?;
            purged += 1;
        }
    }
    Ok(purged)
}

/// Puts what is no task at the front of `lane` among the dead letters; what is one goes to the lane's end on the way.
/// It looks through a bounded part of the lane; the next call goes on.
pub(super) async fn sweep(link: &Arc<Link>, lane: &LaneName, now: &Now) -> Result<(), QueueError> {
    let session = Session::open(Arc::clone(link)).await?;
    let swept = sweep_on(&session, lane, now).await;
    session.close().await;
    swept
}

async fn sweep_on(session: &Arc<Session>, lane: &LaneName, now: &Now) -> Result<(), QueueError> {
    let link = &session.link;
    let ready = ready(link, &session.channel, link.names.lane(lane)).await?;
    for _ in 0..SWEEP.min(usize::from(ready)) {
        let get = session.channel.basic_get(link.names.lane(lane).into(), BasicGetOptions::default());
        let Some(message) = link.call("look at a lane", get).await? else { return Ok(()) };
        let read = message::read(&message.delivery.data);
        let (nobody, _) = mpsc::unbounded_channel();
        let hold = Hold::of(Arc::clone(session), lane.clone(), message.delivery, nobody);
        let end = read.map_or_else(|e| End::Dead(message::unreadable(e.problem, now())), |_| End::Release);
        hold.end(end, now).await?;
    }
    Ok(())
}

/// Takes every dead letter of these lanes into hold, oldest first.
async fn look(
    link: &Link,
    channel: &Channel,
    lanes: &[LaneName],
    now: &Now,
) -> Result<Vec<(LaneName, Delivery, DeadLetter)>, QueueError> {
    let mut letters = Vec::new();
    for lane in lanes {
        let queue = link.names.dead(lane);
        let count = ready(link, channel, queue.clone()).await?;
        for delivery in take(link, channel, &queue, count).await? {
            let failure = letter::failure_of(&delivery.properties, now());
            let letter = message::letter(&delivery.data, failure);
            letters.push((lane.clone(), delivery, letter));
        }
    }
    letters.sort_by_key(|(_, _, letter)| letter.failure.at);
    Ok(letters)
}

/// The first `count` messages of a queue.
async fn take(link: &Link, channel: &Channel, queue: &str, count: u16) -> Result<Vec<Delivery>, QueueError> {
    const WHAT: &str = "look at the dead letters";
    let mut taken = Vec::with_capacity(usize::from(count));
    if count == 0 {
        return Ok(taken);
    }
    link.call(WHAT, channel.basic_qos(count, BasicQosOptions::default())).await?;
    let tag = link.unique();
    let options = BasicConsumeOptions::default();
    let consume = channel.basic_consume(queue.into(), tag.as_str().into(), options, FieldTable::default());
    let mut consumer = link.call(WHAT, consume).await?;
    while taken.len() < usize::from(count) {
        let broken = |why: &str| fault::unreachable(&link.address, WHAT, why);
        let next = within(LETTER_WITHIN, "the next letter", consumer.next()).await;
        let delivery =
            next.map_err(|e| broken(&e.to_string()))?.ok_or_else(|| broken("the queue went away"))?;
        taken.push(delivery.map_err(|e| fault::of(&link.address, WHAT, &e))?);
    }
    link.call(WHAT, channel.basic_cancel(tag.as_str().into(), lapin::options::BasicCancelOptions::default()))
        .await?;
    Ok(taken)
}

/// Puts back all that this channel holds.
async fn put_back(link: &Link, channel: &Channel) -> Result<(), QueueError> {
    let all = BasicNackOptions { multiple: true, requeue: true };
    link.call("put the dead letters back", channel.basic_nack(0, all)).await?;
    // An answer that comes after the queues have dealt with it.
    link.call("put the dead letters back", channel.basic_qos(1, BasicQosOptions::default())).await
}

/// How many messages of a queue are ready; counted as far as AMQP lets a consumer go ahead.
async fn ready(link: &Link, channel: &Channel, queue: String) -> Result<u16, QueueError> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let declare = channel.queue_declare(queue.into(), passive, FieldTable::default());
    let count = link.call("count", declare).await?.message_count();
    Ok(u16::try_from(count).unwrap_or(u16::MAX))
}

async fn turn(link: &Arc<Link>) -> Result<RabbitLock, QueueError> {
    let taken = within(TURN_WITHIN, "a turn at the dead letters", async {
        loop {
            if let Some(lock) = lock::take(link, LOCK).await? {
                return Ok(lock);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    });
    let why = || {
        format!("others have looked at the dead letters of `{}` for {TURN_WITHIN:?}", link.names.exchange())
    };
    taken.await.unwrap_or_else(|_| Err(QueueError::InUse(why())))
}
