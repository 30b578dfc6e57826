//! What every object carries.

use std::collections::BTreeMap;

use super::{
    Harness,
    sample::{assert_at, key, metadata, object, ok, put},
};
use crate::{Artifact, StoreError};

/// Metadata reads back as it was put, whatever the site made of its texts.
pub async fn hostile_metadata_reads_back(harness: &impl Harness) {
    let place = harness.place().await;
    let store = place.open().await;
    let long = "é".repeat(500);
    let hostile = [
        "☆Ash 💥",
        "",
        " ",
        "a\r\nx-evil: 1",
        "\0\u{7f}\u{80}",
        "%0d%0a%",
        "a=b&c=d",
        "\"';--<script>",
        "\u{202e}right to left",
        "ß\u{10ffff}",
        long.as_str(),
    ];
    let names = |n: usize| format!("Fact_{n}.x-");
    let facts: BTreeMap<_, _> =
        hostile.iter().enumerate().map(|(n, text)| (names(n), (*text).to_owned())).collect();
    for (seed, text) in (1..).zip(hostile) {
        let plain = object(seed, 50);
        let metadata = plain.metadata.encoded(Some("gzip")).partial(Some(text)).with_facts(facts.clone());
        let (key, object) = (key(format!("contract/{seed}")), Artifact { metadata, ..plain });
        put(store.as_ref(), &key, &object).await;
        assert_at(store.as_ref(), &key, &object).await;
    }
}

/// Bytes that are not those that the metadata is of are `Damaged`, and nothing is stored.
pub async fn bytes_of_other_metadata_are_not_stored(harness: &impl Harness) {
    let place = harness.place().await;
    let store = place.open().await;
    let (key, object) = (key("contract/a"), object(1, 100));
    let answer = store.put_new(&key, object.bytes.slice(1..), &object.metadata).await;
    assert!(matches!(&answer, Err(StoreError::Damaged { key: named, .. }) if *named == key), "{answer:?}");
    assert!(!ok("exists", store.exists(&key).await));
}

/// Metadata that not every store could carry is refused by every store, and nothing is stored.
pub async fn metadata_out_of_bounds_is_refused(harness: &impl Harness) {
    let place = harness.place().await;
    let store = place.open().await;
    let (key, object) = (key("contract/a"), object(1, 100));
    let mut long = metadata(&object.bytes, 1);
    long.facts.insert("long".to_owned(), "x".repeat(3_000));
    let answer = store.put_new(&key, object.bytes, &long).await;
    assert!(matches!(&answer, Err(StoreError::Refused(text)) if text.contains("contract/a")), "{answer:?}");
    assert!(!ok("exists", store.exists(&key).await));
}
