//! Putting objects and getting them back.

use super::{
    Harness,
    sample::{assert_at, get, key, object, ok, put},
};
use crate::Put;

/// An object of any size reads back as it was put: empty, one byte, a log, 8 MiB.
pub async fn a_put_object_reads_back(harness: &impl Harness) {
    let place = harness.place().await;
    let store = place.open().await;
    for (seed, length) in [(1, 0), (2, 1), (3, 10_000), (4, 8 * 1024 * 1024)] {
        let (key, object) = (key(format!("contract/{length}")), object(seed, length));
        assert_eq!(put(store.as_ref(), &key, &object).await, Put::Stored);
        assert_at(store.as_ref(), &key, &object).await;
    }
}

/// What was put is there for a client that is opened later.
pub async fn a_put_object_survives_reopening(harness: &impl Harness) {
    let place = harness.place().await;
    let objects: Vec<_> = (0..5).map(|n| (key(format!("contract/{n}")), object(n, 1_000))).collect();
    let first = place.open().await;
    for (key, object) in &objects {
        put(first.as_ref(), key, object).await;
    }
    drop(first);
    let second = place.open().await;
    for (key, object) in &objects {
        assert_at(second.as_ref(), key, object).await;
        assert_eq!(put(second.as_ref(), key, object).await, Put::AlreadyStored);
    }
}

/// A second put of a key answers `AlreadyStored` and leaves bytes and metadata alone, whatever it carries and whoever makes it.
pub async fn a_second_put_changes_nothing(harness: &impl Harness) {
    let place = harness.place().await;
    let clients = [place.open().await, place.open().await];
    let (key, first) = (key("contract/once"), object(1, 5_000));
    assert_eq!(put(clients[0].as_ref(), &key, &first).await, Put::Stored);
    let mut same_bytes = first.clone();
    same_bytes.metadata.attempt = 9;
    same_bytes.metadata.facts.clear();
    for other in [first.clone(), same_bytes, object(2, 5_000), object(3, 0)] {
        for client in &clients {
            assert_eq!(put(client.as_ref(), &key, &other).await, Put::AlreadyStored);
            assert_at(client.as_ref(), &key, &first).await;
        }
    }
}

/// `exists` says no before a put and yes after it, and so it does for other keys near it.
pub async fn exists_follows_puts(harness: &impl Harness) {
    let place = harness.place().await;
    let store = place.open().await;
    let there = key("contract/a/b");
    assert!(!ok("exists", store.exists(&there).await));
    put(store.as_ref(), &there, &object(1, 10)).await;
    assert!(ok("exists", store.exists(&there).await));
    for near in ["contract", "contract/a", "contract/a/b/c", "contract/a/bb", "contract/A/b", "b"] {
        assert!(!ok("exists", store.exists(&key(near)).await), "{near}");
        assert_eq!(get(store.as_ref(), &key(near)).await, None, "{near}");
    }
}

/// Every key is itself and no other: case, escapes, dots, long ones.
pub async fn keys_are_taken_literally(harness: &impl Harness) {
    let place = harness.place().await;
    let store = place.open().await;
    let mut keys: Vec<_> = [
        "c/a", "c/A", "c/%61", "c/%2E%2E", "c/%2F", "c/%252F", "c/a..b", "c/a.", "c/=", "c/a=b", "c/-",
        "c/_", "c/a%",
    ]
    .map(key)
    .into();
    keys.push(key(format!("c/{}", "x".repeat(255))));
    keys.push(key(format!("d/{}", vec!["y".repeat(248); 4].join("/"))));
    let objects: Vec<_> = (1..).zip(&keys).map(|(seed, key)| (key, object(seed, 100))).collect();
    for (key, object) in &objects {
        assert_eq!(put(store.as_ref(), key, object).await, Put::Stored, "{key}");
    }
    for (key, object) in &objects {
        assert_at(store.as_ref(), key, object).await;
    }
}
