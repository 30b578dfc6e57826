//! Messages as they are on the fleet's exchange: what is in their properties, written and read.

use jiff::Timestamp;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use scrapefleet_api::{ItemId, LaneName};

use super::{
    ledger::Event,
    link::Letter,
    names::Kind,
    topology::{table, text},
};
use crate::{Failure, Task, message};

/// Headers of ours: when a delay is over, in milliseconds since 1970, and why a task was given up, as JSON.
const UNTIL: &str = "scrapefleet-until";
const FAILURE: &str = "scrapefleet-failure";

/// The header in which a stream says where a message is in it.
const OFFSET: &str = "x-stream-offset";

/// A message about `item`; `body` is the task, where it is still one.
pub(super) fn about(kind: Kind, lane: &LaneName, item: Option<&ItemId>, body: Vec<u8>) -> Letter {
    let mut properties = BasicProperties::default();
    if let Some(item) = item {
        properties = properties.with_message_id(item.as_str().into());
    }
    Letter { key: kind.key(lane), body, properties }
}

/// The discovery of a task.
pub(super) fn discovered(task: &Task, body: Vec<u8>) -> Letter {
    about(Kind::New, &task.lane, Some(&task.id), body)
}

/// The same, with the session that it is of.
pub(super) fn of_session(letter: Letter, session: &str) -> Letter {
    let properties = letter.properties.with_correlation_id(session.into());
    Letter { properties, ..letter }
}

/// A task that comes again at `until`, by the way of `key`.
pub(super) fn delayed(key: String, item: &ItemId, body: Vec<u8>, until: Timestamp) -> Letter {
    let headers = table([(UNTIL, until.as_millisecond().into())]);
    let properties = BasicProperties::default().with_message_id(item.as_str().into()).with_headers(headers);
    Letter { key, body, properties }
}

/// A message that is given up.
pub(super) fn given_up(lane: &LaneName, item: Option<&ItemId>, body: Vec<u8>, failure: &Failure) -> Letter {
    #[expect(clippy::expect_used)] // cannot fail: it is text, a list of texts, a name and a date
    let failure = serde_json::to_string(failure).expect("a failure is JSON");
    let letter = about(Kind::Dead, lane, item, body);
    let properties = letter.properties.with_headers(table([(FAILURE, text(&failure))]));
    Letter { properties, ..letter }
}

/// Why a message is among the dead letters. The broker puts one there by itself only when its holders died too often.
pub(super) fn failure_of(properties: &BasicProperties, now: Timestamp) -> Failure {
    let written =
        header(properties, FAILURE).and_then(|value| value.as_long_string().map(|s| s.as_bytes().to_vec()));
    let read = written.and_then(|json| serde_json::from_slice(&json).ok());
    read.unwrap_or_else(|| {
        let at = died_at(properties).unwrap_or(now);
        message::holder_died(super::topology::MAX_DELIVERIES, at)
    })
}

/// When the broker gave it up: `time`, in seconds, of the first entry of its own record.
fn died_at(properties: &BasicProperties) -> Option<Timestamp> {
    let deaths = header(properties, "x-death")?.as_array()?;
    let AMQPValue::FieldTable(death) = deaths.as_slice().first()? else { return None };
    let seconds = i64::try_from(death.inner().get("time")?.as_timestamp()?).ok()?;
    Timestamp::from_second(seconds).ok()
}

/// The event that a message of the journal tells; none: it is one that this program does not know.
pub(super) fn event(key: &str, properties: &BasicProperties, body: Vec<u8>) -> Option<Event> {
    let offset = offset_of(properties)?;
    let (kind, lane) = Kind::read(key)?;
    let item = properties.message_id().as_ref().and_then(|id| ItemId::new(id.as_str()).ok());
    let session = properties.correlation_id().as_ref().map(|id| id.as_str().to_owned());
    let until =
        header(properties, UNTIL).and_then(number).and_then(|ms| Timestamp::from_millisecond(ms).ok());
    Some(Event { offset, kind, lane, item, session, until, body })
}

/// Where in its stream a message is.
pub(super) fn offset_of(properties: &BasicProperties) -> Option<u64> {
    header(properties, OFFSET).and_then(number).and_then(|offset| u64::try_from(offset).ok())
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref().map(FieldTable::inner)?.get(name)
}

fn number(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::LongLongInt(n) => Some(*n),
        AMQPValue::LongInt(n) => Some(i64::from(*n)),
        AMQPValue::LongUInt(n) => Some(i64::from(*n)),
        AMQPValue::ShortInt(n) => Some(i64::from(*n)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn a_failure_is_read_as_it_was_written() {
        let (message, at) = ("ü \"x\"".to_owned(), "2026-02-03T04:05:06Z".parse().unwrap());
        let failure = Failure { reason: Reason::TakeFailed, message, at, evidence: vec!["k".to_owned()] };
        let letter = given_up(&LaneName::default(), None, Vec::new(), &failure);
        assert_eq!(failure_of(&letter.properties, Timestamp::UNIX_EPOCH), failure);
        assert_eq!(letter.key, "dead.default");
    }

    #[test]
    fn what_the_broker_gave_up_has_its_time() {
        let mut death = FieldTable::default();
        death.insert("time".into(), AMQPValue::Timestamp(42));
        let deaths = AMQPValue::FieldArray(vec![AMQPValue::FieldTable(death)].into());
        let properties = BasicProperties::default().with_headers(table([("x-death", deaths)]));
        let failure = failure_of(&properties, Timestamp::UNIX_EPOCH);
        assert_eq!((failure.reason, failure.at.as_second()), (Reason::HolderDied, 42));
        assert_eq!(failure_of(&BasicProperties::default(), Timestamp::MAX).at, Timestamp::MAX);
    }

    #[test]
    fn an_event_is_read_from_its_message() {
        let item = ItemId::new("battle-1").unwrap();
        let until = Timestamp::from_millisecond(1234).unwrap();
        let letter = delayed("retry.0.1.fast".to_owned(), &item, b"x".to_vec(), until);
        let mut headers = letter.properties.headers().clone().unwrap();
        headers.insert(OFFSET.into(), 7_i64.into());
        let properties = letter.properties.with_headers(headers).with_correlation_id("s".into());
        let event = event(&letter.key, &properties, letter.body).unwrap();
        assert_eq!((event.offset, event.kind, event.lane.as_str()), (7, Kind::Retry, "fast"));
        assert_eq!((event.item, event.until, event.session.as_deref()), (Some(item), Some(until), Some("s")));
    }
}
