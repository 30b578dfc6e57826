//! Listing what is stored.

use std::collections::BTreeSet;

use futures::{StreamExt as _, stream};

use super::{
    Harness,
    sample::{get, key, object, ok, put},
};
use crate::{ArtifactStore, Key};

/// An empty store lists nothing, has nothing, and is not surprised to be asked.
pub async fn an_empty_store_has_nothing(harness: &impl Harness) {
    let place = harness.place().await;
    let store = place.open().await;
    for prefix in ["", "contract/", "a", "/", "../"] {
        assert_eq!(keys(store.as_ref(), prefix).await, Vec::<Key>::new(), "{prefix:?}");
    }
    assert_eq!(get(store.as_ref(), &key("a/b")).await, None);
    assert!(!ok("exists", store.exists(&key("a/b")).await));
}

/// A listing has every key with the prefix, more than fit one answer of any store, each once, and no other.
pub async fn a_listing_has_each_key_with_the_prefix_once(harness: &impl Harness) {
    let place = harness.place().await;
    let store = place.open().await;
    let fleet = (0..1_050).map(|n| format!("fleet-1/battle-{n}"));
    let others = ["fleet-10/x", "fleet-1.x", "_gone/fleet-1/battle-1", "other/fleet-1/battle-1"];
    let all: BTreeSet<_> = fleet.chain(others.map(str::to_owned)).map(key).collect();
    put_all(store.as_ref(), &all).await;
    for prefix in [
        "",
        "fleet-1",
        "fleet-1/",
        "fleet-1/battle-10",
        "fleet-1/battle-1049",
        "_gone/",
        "fleet-1/battle-1050",
        "x",
    ] {
        let expected: Vec<_> = all.iter().filter(|key| key.as_str().starts_with(prefix)).cloned().collect();
        assert!(keys(store.as_ref(), prefix).await == expected, "the listing of {prefix:?} is wrong");
    }
}

/// A listing has every key that was put before it began, each once, though others are put meanwhile.
pub async fn a_listing_is_stable_while_objects_are_put(harness: &impl Harness) {
    let place = harness.place().await;
    let (store, writer) = (place.open().await, place.open().await);
    let before: BTreeSet<_> = (0..200).map(|n| key(format!("contract/before-{n}"))).collect();
    let meanwhile: BTreeSet<_> = (0..200).map(|n| key(format!("contract/meanwhile-{n}"))).collect();
    put_all(store.as_ref(), &before).await;
    let listings = async {
        let mut listings = Vec::new();
        for _ in 0..10 {
            listings.push(keys(store.as_ref(), "contract/").await);
        }
        listings
    };
    let (listings, ()) = tokio::join!(listings, put_all(writer.as_ref(), &meanwhile));
    for listing in listings {
        let listed: BTreeSet<_> = listing.iter().cloned().collect();
        assert_eq!(listed.len(), listing.len(), "a key was listed twice");
        assert!(before.is_subset(&listed), "a listing lacks keys put before it began");
        assert!(
            listed.is_subset(&before.union(&meanwhile).cloned().collect()),
            "a listing has keys that nobody put"
        );
    }
    assert_eq!(keys(store.as_ref(), "contract/").await.len(), before.len() + meanwhile.len());
}

/// What a listing says, sorted.
async fn keys(store: &dyn ArtifactStore, prefix: &str) -> Vec<Key> {
    let listing = ok("a listing", store.list(prefix).await);
    let mut keys: Vec<_> = listing.map(|key| ok("an entry of a listing", key)).collect().await;
    keys.sort();
    keys
}

async fn put_all(store: &dyn ArtifactStore, keys: &BTreeSet<Key>) {
    let object = object(1, 10);
    let puts = stream::iter(keys).map(|key| put(store, key, &object)).buffer_unordered(16);
    puts.for_each(|_| std::future::ready(())).await;
}
