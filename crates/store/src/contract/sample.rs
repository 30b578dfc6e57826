//! Objects for the suite, each decided by a number.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use scrapefleet_api::{FleetName, ItemId};

use crate::{Artifact, ArtifactStore, Key, Metadata, Origin, Put, StoreError};

/// What must work, or the promise is broken.
pub(super) fn ok<T, E: std::fmt::Display>(what: &str, answer: Result<T, E>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("{what}: {error}"),
    }
}

pub(super) fn key(text: impl Into<String>) -> Key {
    ok("key", Key::new(text))
}

/// `length` bytes that no other `seed` has.
pub(super) fn bytes(seed: u64, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes.into()
}

/// An object of `length` bytes that no other `seed` has; the metadata's `attempt` is the seed.
pub(super) fn object(seed: u32, length: usize) -> Artifact {
    let bytes = bytes(u64::from(seed), length);
    let metadata = metadata(&bytes, seed);
    Artifact { bytes, metadata }
}

/// Metadata of `bytes`, taken at attempt `attempt`.
pub(super) fn metadata(bytes: &[u8], attempt: u32) -> Metadata {
    let origin = Origin {
        fleet: ok("fleet", FleetName::new("contract")),
        item: ok("item", ItemId::new("battle-1")),
        discovered_at: ok("time", Timestamp::from_millisecond(1_700_000_000_123)),
        scraped_at: ok("time", Timestamp::from_millisecond(1_700_000_100_000 + i64::from(attempt))),
        attempt,
    };
    let facts = BTreeMap::from([("attempt".to_owned(), attempt.to_string())]);
    Metadata::of(bytes, origin, "text/plain; charset=utf-8").with_facts(facts)
}

pub(super) async fn put(store: &dyn ArtifactStore, key: &Key, object: &Artifact) -> Put {
    let put = store.put_new(key, object.bytes.clone(), &object.metadata).await;
    ok("a put", put)
}

/// The object at `key`, which must fit its metadata.
pub(super) async fn get(store: &dyn ArtifactStore, key: &Key) -> Option<Artifact> {
    let found: Result<_, StoreError> = store.get(key).await;
    let found = ok("a get", found);
    if let Some(artifact) = &found {
        ok("what a get answered", artifact.verify());
    }
    found
}

/// Asserts that `object` is at `key`, without printing megabytes when it is not.
pub(super) async fn assert_at(store: &dyn ArtifactStore, key: &Key, object: &Artifact) {
    let found = get(store, key).await;
    let found = found.unwrap_or_else(|| panic!("nothing is at {key}"));
    assert_eq!(found.metadata, object.metadata, "metadata of {key}");
    assert!(found.bytes == object.bytes, "bytes of {key} changed");
}
