//! Objects to put, and limits that do not make a test wait.

use std::time::Duration;

use bytes::Bytes;
use scrapefleet_api::{FleetName, ItemId};
use scrapefleet_store::{Artifact, Key, Metadata, Origin, StoreError, s3::Limits};

/// The usual limits with short pauses. Deadlines stay long, for machines that are busy.
pub(crate) fn limits() -> Limits {
    Limits { pause: Duration::from_millis(10), connect: Duration::from_secs(20), ..Limits::default() }
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

/// `length` bytes that differ from those of other seeds.
pub(crate) fn object(seed: u8, length: usize) -> Artifact {
    let mut random = fastrand::Rng::with_seed(u64::from(seed));
    let bytes: Bytes = std::iter::repeat_with(|| random.u8(..)).take(length).collect::<Vec<_>>().into();
    let origin = Origin {
        fleet: FleetName::new("showdown").unwrap(),
        item: ItemId::new("battle-1").unwrap(),
        discovered_at: jiff::Timestamp::UNIX_EPOCH,
        scraped_at: jiff::Timestamp::UNIX_EPOCH,
        attempt: 1,
    };
    let metadata = Metadata::of(&bytes, origin, "text/plain; charset=utf-8");
    Artifact { bytes, metadata }
}

/// What a refusal says.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Err(StoreError::Refused(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

/// What is said where nobody answers.
#[track_caller]
pub(crate) fn unreachable<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Err(StoreError::Unreachable(text)) => text,
        other => panic!("not unreachable: {other:?}"),
    }
}

/// Asserts that `text` has every one of `parts`.
#[track_caller]
pub(crate) fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert!(text.len() < 1_200 && !text.contains('\n'), "{text}");
}
