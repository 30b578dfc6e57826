//! Messages: how a task is written and read, and the bounds of what is kept.
//!
//! Every implementation writes and reads through this module, so that a message which one of them cannot
//! read is unreadable to all, for the same stated reason.

use jiff::Timestamp;
use scrapefleet_api::ItemId;
use serde_json::Value;

use crate::{DeadLetter, Failure, QueueError, Reason, Task, task::SCHEMA_VERSION};

/// The largest message a queue takes, in bytes of JSON. A task is a few hundred bytes; the rest is room for
/// fields of other versions. `RabbitMQ` would take 16 MiB, but every message is in memory several times over.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// How much of an unreadable message a dead letter shows, in bytes. The queue keeps the whole message.
pub const MAX_RAW_BYTES: usize = 4 * 1024;

/// The longest failure message that is kept, in bytes; the rest is cut off and the cut is marked.
pub const MAX_FAILURE_BYTES: usize = 2 * 1024;

/// The most keys of evidence that a failure keeps.
pub const MAX_EVIDENCE: usize = 8;

/// The longest key of evidence, in bytes: what S3 allows for a key.
pub const MAX_EVIDENCE_BYTES: usize = 1024;

/// A message that is not a task of a version this program reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Unreadable {
    /// The item's id, if at least that could be read.
    pub item: Option<ItemId>,
    /// What is wrong with it.
    pub problem: String,
}

/// Writes a task as a message; refused when it is larger than [`MAX_MESSAGE_BYTES`].
pub fn write(task: &Task) -> Result<Vec<u8>, QueueError> {
    let bytes = serde_json::to_vec(task)
        .map_err(|e| QueueError::Refused(format!("task `{}` cannot be written as JSON: {e}", task.id)))?;
    check_size(&bytes, &format!("task `{}`", task.id))?;
    Ok(bytes)
}

/// Refuses a message, called `name`, that is larger than [`MAX_MESSAGE_BYTES`].
pub(crate) fn check_size(message: &[u8], name: &str) -> Result<(), QueueError> {
    if message.len() <= MAX_MESSAGE_BYTES {
        return Ok(());
    }
    let size = message.len();
    Err(QueueError::Refused(format!(
        "{name} is {size} bytes of JSON; at most {MAX_MESSAGE_BYTES} are allowed"
    )))
}

/// Reads a message.
pub fn read(message: &[u8]) -> Result<Task, Unreadable> {
    let task: Task = serde_json::from_slice(message).map_err(|e| Unreadable {
        item: item_of(message),
        problem: cut(format!("not a task: {e}"), MAX_FAILURE_BYTES),
    })?;
    if task.schema_version == SCHEMA_VERSION {
        Ok(task)
    } else {
        let problem = format!("schema version {}; this program reads {SCHEMA_VERSION}", task.schema_version);
        Err(Unreadable { item: Some(task.id), problem })
    }
}

/// The item that a message is about, as far as that can be read.
pub(crate) fn item(message: &[u8]) -> Option<ItemId> {
    read(message).map_or_else(|unreadable| unreadable.item, |task| Some(task.id))
}

/// The dead letter that a message becomes; an unreadable one is shown as far as [`MAX_RAW_BYTES`] go.
#[must_use]
pub fn letter(message: &[u8], failure: Failure) -> DeadLetter {
    match read(message) {
        Ok(task) => DeadLetter { item: Some(task.id.clone()), task: Some(task), raw: None, failure },
        Err(unreadable) => {
            let shown = &message[..message.len().min(MAX_RAW_BYTES + 4)];
            let raw = cut(String::from_utf8_lossy(shown).into_owned(), MAX_RAW_BYTES);
            DeadLetter { item: unreadable.item, task: None, raw: Some(raw), failure }
        }
    }
}

/// The failure of an unreadable message.
#[must_use]
pub fn unreadable(problem: String, at: Timestamp) -> Failure {
    Failure { reason: Reason::Unreadable, message: problem, at, evidence: Vec::new() }
}

/// The failure of a task that was handed out `deliveries` times and never finished.
#[must_use]
pub fn holder_died(deliveries: u32, at: Timestamp) -> Failure {
    let message = format!("handed out {deliveries} times, and each time its holder died before it finished");
    Failure { reason: Reason::HolderDied, message, at, evidence: Vec::new() }
}

/// The failure with its texts cut to what is kept.
#[must_use]
pub fn bounded(mut failure: Failure) -> Failure {
    failure.message = cut(failure.message, MAX_FAILURE_BYTES);
    failure.evidence.truncate(MAX_EVIDENCE);
    for key in &mut failure.evidence {
        *key = cut(std::mem::take(key), MAX_EVIDENCE_BYTES);
    }
    failure
}

/// The task as it is queued for its next attempt.
#[must_use]
pub fn next_attempt(task: &Task, failure: Failure) -> Task {
    Task { attempt: task.attempt.saturating_add(1), last_failure: Some(bounded(failure)), ..task.clone() }
}

/// The message of a dead letter as it is queued again: at attempt 1 where it is a task, else as it was.
#[must_use]
pub fn replayed(message: &[u8]) -> Vec<u8> {
    match read(message) {
        Ok(task) => write_again(&Task { attempt: 1, ..task }),
        Err(_) => message.to_vec(),
    }
}

/// Writes a task that was read from a message before. It cannot fail as the first writing could: every part of it
/// came out of JSON. The bound is not applied again, or a long failure could make a task that cannot be retried.
pub(crate) fn write_again(task: &Task) -> Vec<u8> {
    #[expect(clippy::expect_used)] // cannot fail: no map in a task has keys other than strings
    serde_json::to_vec(task).expect("a task is JSON")
}

pub(crate) fn finished_already(item: &ItemId) -> QueueError {
    QueueError::Refused(format!("the claim on `{item}` was finished already"))
}

pub(crate) fn no_letter(item: &ItemId) -> QueueError {
    QueueError::NotFound(format!("no dead letter for item `{item}`"))
}

fn item_of(message: &[u8]) -> Option<ItemId> {
    let value: Value = serde_json::from_slice(message).ok()?;
    ItemId::new(value.get("id")?.as_str()?).ok()
}

/// Cuts `text` at a character's edge so that it takes at most `max` bytes, and marks the cut.
fn cut(mut text: String, max: usize) -> String {
    const MARK: &str = "…";
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - MARK.len()));
        text.push_str(MARK);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task() -> Task {
        let value = json!({
            "schemaVersion": 1, "fleet": "f", "id": "battle-1", "url": "http://x/1", "lane": "fast",
            "discoveredAt": "2026-01-01T00:00:00Z", "attempt": 3, "colour": {"of": ["the", 1]}
        });
        serde_json::from_value(value).unwrap()
    }

    fn failure(message: &str) -> Failure {
        let (reason, at) = (Reason::OpenFailed, Timestamp::UNIX_EPOCH);
        Failure { reason, message: message.to_owned(), at, evidence: vec!["k".repeat(3000); 30] }
    }

    #[test]
    fn what_is_written_is_read_with_its_unknown_fields() {
        let bytes = write(&task()).unwrap();
        let again = read(&bytes).unwrap();
        assert_eq!(again, task());
        assert_eq!(again.extra["colour"], json!({"of": ["the", 1]}));
    }

    #[test]
    fn a_message_over_the_bound_is_refused_with_its_size_and_the_bound() {
        let mut big = task();
        big.extra.insert("blob".to_owned(), json!("x".repeat(MAX_MESSAGE_BYTES)));
        let error = write(&big).unwrap_err().to_string();
        assert!(error.contains("battle-1") && error.contains("262144"), "{error}");
    }

    #[test]
    fn unreadable_messages_say_why_and_keep_the_id_where_there_is_one() {
        let mut other = serde_json::to_value(task()).unwrap();
        other["schemaVersion"] = json!(99);
        let cases: [(&[u8], Option<&str>, &str); 5] = [
            (b"", None, "EOF"),
            (b"\xff\xfe", None, "expected value"),
            (b"{\"id\":\"battle-7\"}", Some("battle-7"), "missing field"),
            (b"{\"id\":\"<script>\"}", None, "item id"),
            (
                &serde_json::to_vec(&other).unwrap(),
                Some("battle-1"),
                "schema version 99; this program reads 1",
            ),
        ];
        for (message, item, problem) in cases {
            let found = read(message).unwrap_err();
            assert_eq!(found.item.as_ref().map(ItemId::as_str), item, "{found}");
            assert!(found.problem.contains(problem), "{found}");
        }
    }

    #[test]
    fn a_letter_shows_an_unreadable_message_only_so_far() {
        let message = "é".repeat(MAX_RAW_BYTES);
        let letter = letter(message.as_bytes(), failure("no"));
        let raw = letter.raw.unwrap();
        assert!(raw.len() <= MAX_RAW_BYTES && raw.ends_with("é…"), "{}", raw.len());
    }

    #[test]
    fn failures_are_cut_to_what_is_kept() {
        let kept = bounded(failure(&"ü".repeat(MAX_FAILURE_BYTES)));
        assert!(kept.message.len() <= MAX_FAILURE_BYTES && kept.message.ends_with('…'));
        assert_eq!(kept.evidence.len(), MAX_EVIDENCE);
        assert!(kept.evidence.iter().all(|key| key.len() <= MAX_EVIDENCE_BYTES));
    }

    #[test]
    fn a_replay_starts_at_attempt_one_and_leaves_what_it_cannot_read() {
        let again = read(&replayed(&write(&task()).unwrap())).unwrap();
        assert_eq!(again, Task { attempt: 1, ..task() });
        assert_eq!(replayed(b"{oh"), b"{oh");
    }
}
