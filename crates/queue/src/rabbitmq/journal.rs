//! Reading the journal, from an offset to its present end.
//!
//! A stream has no end to read to, so the reader puts a mark there first: everything that was confirmed before is before
//! the mark.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use lapin::{
    BasicProperties, Channel,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};
use scrapefleet_policy::within;
use tokio::sync::mpsc;

use super::{
    fault,
    ledger::Event,
    letter,
    link::{Letter, Link},
    names::MARK,
    topology::{table, text},
};
use crate::QueueError;

/// How many messages the broker sends ahead.
const AHEAD: u16 = 500;
/// After how many messages it is told that they came.
const ACK_EVERY: u64 = 100;
/// How long the next message may take, which is there already.
const MESSAGE_WITHIN: Duration = Duration::from_secs(20);

/// Every event from `from` on, in order, up to those of now. The reading ends when the receiver is dropped.
pub(super) async fn read(
    link: Arc<Link>,
    from: u64,
) -> Result<mpsc::Receiver<Result<Event, QueueError>>, QueueError> {
    let mark = link.unique();
    let properties = BasicProperties::default().with_message_id(mark.as_str().into());
    link.publish(&[Letter { key: MARK.to_owned(), body: Vec::new(), properties }]).await?;
    let channel = link.channel().await?;
    let consumer = subscribe(&link, &channel, from).await?;
    let (sender, events) = mpsc::channel(usize::from(AHEAD));
    tokio::spawn(async move {
        if let Err(error) = pass_on(consumer, &link, &mark, &sender).await {
            // The receiver may be gone as well.
            let _ = sender.send(Err(error)).await;
        }
        link.leave(&channel).await;
    });
    Ok(events)
}

async fn subscribe(link: &Link, channel: &Channel, from: u64) -> Result<lapin::Consumer, QueueError> {
    let offset = match i64::try_from(from) {
        Ok(from) if from > 0 => AMQPValue::LongLongInt(from),
        _ => text("first"),
    };
    let arguments: FieldTable = table([("x-stream-offset", offset)]);
    link.call("read the journal", channel.basic_qos(AHEAD, BasicQosOptions::default())).await?;
    let options = BasicConsumeOptions::default();
    let consume =
        channel.basic_consume(link.names.journal().into(), link.unique().as_str().into(), options, arguments);
    link.call("read the journal", consume).await
}

async fn pass_on(
    mut consumer: lapin::Consumer,
    link: &Link,
    mark: &str,
    events: &mpsc::Sender<Result<Event, QueueError>>,
) -> Result<(), QueueError> {
    let broken = |why: &str| fault::unreachable(&link.address, "read the journal", why);
    let mut count: u64 = 0;
    loop {
        let next = within(MESSAGE_WITHIN, "the next message", consumer.next()).await;
        let delivery = next.map_err(|e| broken(&e.to_string()))?;
        let delivery = delivery.ok_or_else(|| broken("the stream went away"))?;
        let delivery = delivery.map_err(|e| fault::of(&link.address, "read the journal", &e))?;
        count += 1;
        if count.is_multiple_of(ACK_EVERY) {
            let acked = delivery.acker.ack(BasicAckOptions { multiple: true });
            link.call("read the journal", acked).await?;
        }
        let Delivery { routing_key, properties, data, .. } = delivery;
        if routing_key.as_str() == MARK
            && properties.message_id().as_ref().is_some_and(|id| id.as_str() == mark)
        {
            return Ok(());
        }
        if let Some(event) = letter::event(routing_key.as_str(), &properties, data)
            && events.send(Ok(event)).await.is_err()
        {
            return Ok(()); // nobody listens any more
        }
    }
}
