//! The queues and exchanges of a fleet.
//!
//! ```text
//!  publish ─► <scope> ─┬─ new.L, ready.L ─► <scope>:lane.L ──(delivery limit: dead.L)──► <scope>
//!                      ├─ dead.L ─────────► <scope>:dead.L
//!                      ├─ retry.#.L ──────► <scope>:delay.16 ─► … ─► <scope>:delay.0 ─► <scope>:due ─► <scope>:lane.L
//!                      ├─ sync ───────────► <scope>:sync
//!                      └─ all but sync ───► <scope>:journal (a stream)
//! ```
//!
//! Every queue but the journal is a quorum queue; every way from one to the next is taken at least once. A queue that is
//! there already with other arguments is refused by the broker, which is told as it is and changes nothing.

use std::time::Duration;

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, LongString},
};
use scrapefleet_api::LaneName;

use super::{
    Options,
    delay::{self, LEVELS},
    names::{Kind, MARK, Names, SYNC},
};

/// How often a task may come back unfinished before the broker gives it up: its own default since 4.0. One more than
/// this is how often it is handed out.
const DELIVERY_LIMIT: i64 = 20;

/// How often a task is handed out without being finished before it is given up.
pub const MAX_DELIVERIES: u32 = 21;

/// The most bytes of the journal that the broker keeps: about twenty million items; the oldest go first.
const JOURNAL_BYTES: i64 = 20_000_000_000;
/// How much of the journal is dropped at a time, and at least kept.
const JOURNAL_SEGMENT_BYTES: i64 = 50_000_000;

/// The least time after which the broker takes a task away.
const LEAST_CONSUMER_TIMEOUT: Duration = Duration::from_hours(24);

/// After how long without a finish the broker takes a task away, in milliseconds: at least a day and twice the longest
/// hold, in whole days, so that most changes of a manifest leave it as it is.
pub(super) fn consumer_timeout(longest_hold: Duration) -> i64 {
    let day = Duration::from_hours(24);
    let wanted = longest_hold.saturating_mul(2).max(LEAST_CONSUMER_TIMEOUT);
    let days = wanted.as_secs().div_ceil(day.as_secs()).min(365);
    i64::try_from(day.as_millis()).unwrap_or(i64::MAX).saturating_mul(i64::try_from(days).unwrap_or(365))
}

/// Makes what is not there yet, and fails where something is there that was made otherwise.
pub(super) async fn declare(channel: &Channel, names: &Names, options: &Options) -> lapin::Result<()> {
    let topology = Topology { channel, names, options };
    topology.exchanges().await?;
    topology.delays().await?;
    topology.stream().await?;
    for lane in &options.lanes {
        topology.lane(lane).await?;
    }
    let sync = topology.quorum([("x-max-length", 1.into())]);
    topology.queue(&names.sync(), sync, &names.exchange(), &[SYNC.to_owned()]).await
}

/// Whether the queue of `lane` is still there.
pub(super) async fn look(channel: &Channel, names: &Names, lane: &LaneName) -> lapin::Result<u32> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let found = channel.queue_declare(names.lane(lane).into(), passive, FieldTable::default()).await?;
    Ok(found.message_count())
}

struct Topology<'a> {
    channel: &'a Channel,
    names: &'a Names,
    options: &'a Options,
}

impl Topology<'_> {
    async fn exchanges(&self) -> lapin::Result<()> {
        for name in self.names.exchanges() {
            let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            let none = FieldTable::default();
            self.channel.exchange_declare(name.into(), ExchangeKind::Topic, durable, none).await?;
        }
        Ok(())
    }

    /// Each level holds what has a one in its place, and passes on the rest and what it has held.
    async fn delays(&self) -> lapin::Result<()> {
        for level in 0..LEVELS {
            let here = self.names.delay(level);
            let below = if level == 0 { self.names.due() } else { self.names.delay(level - 1) };
            let arguments = self.quorum([
                ("x-message-ttl", delay::lifetime(level).into()),
                ("x-dead-letter-exchange", text(&below)),
                ("x-dead-letter-strategy", text("at-least-once")),
                ("x-overflow", text("reject-publish")),
            ]);
            self.queue(&here, arguments, &here, &[delay::pattern(level, true)]).await?;
            self.lead(&here, &below, &delay::pattern(level, false)).await?;
        }
        let top = self.names.delay(LEVELS - 1);
        self.lead(&self.names.exchange(), &top, &format!("{}.#", Kind::Retry.word())).await
    }

    async fn stream(&self) -> lapin::Result<()> {
        let mut arguments = table([
            ("x-queue-type", text("stream")),
            ("x-max-length-bytes", JOURNAL_BYTES.into()),
            ("x-stream-max-segment-size-bytes", JOURNAL_SEGMENT_BYTES.into()),
        ]);
        if let Some(copies) = self.options.copies {
            arguments.insert("x-initial-cluster-size".into(), i64::from(copies).into());
        }
        self.queue(&self.names.journal(), arguments, &self.names.exchange(), &[MARK.to_owned()]).await
    }

    async fn lane(&self, lane: &LaneName) -> lapin::Result<()> {
        let (exchange, journal) = (self.names.exchange(), self.names.journal());
        let arguments = self.quorum([
            ("x-delivery-limit", DELIVERY_LIMIT.into()),
            ("x-consumer-timeout", consumer_timeout(self.options.longest_hold).into()),
            ("x-dead-letter-exchange", text(&exchange)),
            ("x-dead-letter-routing-key", text(&Kind::Dead.key(lane))),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ]);
        // The dead letters first: nothing can be given up into nowhere.
        let dead = self.quorum([("x-delivery-limit", (-1_i64).into())]);
        self.queue(&self.names.dead(lane), dead, &exchange, &[Kind::Dead.key(lane)]).await?;
        let keys = [Kind::New.key(lane), Kind::Ready.key(lane)];
        self.queue(&self.names.lane(lane), arguments, &exchange, &keys).await?;
        self.bind(&self.names.lane(lane), &self.names.due(), &delay::any(lane)).await?;
        for key in [format!("*.{lane}"), delay::any(lane)] {
            self.bind(&journal, &exchange, &key).await?;
        }
        Ok(())
    }

    async fn queue(
        &self,
        name: &str,
        arguments: FieldTable,
        exchange: &str,
        keys: &[String],
    ) -> lapin::Result<()> {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(name.into(), durable, arguments).await?;
        for key in keys {
            self.bind(name, exchange, key).await?;
        }
        Ok(())
    }

    async fn bind(&self, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        self.channel.queue_bind(queue.into(), exchange.into(), key.into(), options, none).await
    }

    /// Lets what `from` gets with such a key go on to `to`.
    async fn lead(&self, from: &str, to: &str, key: &str) -> lapin::Result<()> {
        let (options, none) = (ExchangeBindOptions::default(), FieldTable::default());
        self.channel.exchange_bind(to.into(), from.into(), key.into(), options, none).await
    }

    /// The arguments of a quorum queue, with these beside.
    fn quorum<const N: usize>(&self, more: [(&'static str, AMQPValue); N]) -> FieldTable {
        let mut arguments = table(more);
        arguments.insert("x-queue-type".into(), text("quorum"));
        if let Some(copies) = self.options.copies {
            arguments.insert("x-quorum-initial-group-size".into(), i64::from(copies).into());
        }
        arguments
    }
}

pub(super) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}

pub(super) fn table<const N: usize>(entries: [(&'static str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert(key.into(), value);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_taken_away_only_long_after_the_longest_hold() {
        let day = 86_400_000;
        let minutes = |m| consumer_timeout(Duration::from_mins(m));
        assert_eq!([minutes(0), minutes(45), minutes(720)], [day; 3]);
        assert_eq!([minutes(721), minutes(1440)], [2 * day; 2]);
        assert_eq!(consumer_timeout(Duration::MAX), 365 * day);
    }
}
