//! Writers of one key, and readers, all at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::future::join_all;
use tokio::task::JoinSet;

use super::{
    Harness, Place,
    sample::{assert_at, get, key, object, ok, put},
};
use crate::{Artifact, ArtifactStore, Key, Put};

const WRITERS: u32 = 50;

/// Of 50 racing writers of one key exactly one is told `Stored`, and what is there then are its bytes and its metadata.
pub async fn of_fifty_racing_writers_one_stores(harness: &impl Harness) {
    let place = harness.place().await;
    for round in 0..5 {
        let key = key(format!("contract/race-{round}"));
        let objects: Vec<_> = (0..WRITERS).map(|seed| object(seed + 1, 3_000)).collect();
        let puts = race(place.as_ref(), &key, objects.clone()).await;
        let winners: Vec<_> = objects.iter().zip(&puts).filter(|(_, put)| **put == Put::Stored).collect();
        assert_eq!(winners.len(), 1, "writers that were told `Stored`");
        assert_at(place.open().await.as_ref(), &key, winners[0].0).await;
    }
}

/// Of 50 racing writers of equal bytes exactly one is told `Stored`; the metadata is that of one of them.
pub async fn fifty_writers_of_equal_bytes_store_them_once(harness: &impl Harness) {
    let place = harness.place().await;
    let (key, first) = (key("contract/equal"), object(1, 3_000));
    let taken_at = |attempt| {
        let mut object = first.clone();
        object.metadata.attempt = attempt;
        object
    };
    let objects: Vec<_> = (0..WRITERS).map(taken_at).collect();
    let puts = race(place.as_ref(), &key, objects.clone()).await;
    assert_eq!(puts.iter().filter(|put| **put == Put::Stored).count(), 1, "writers that were told `Stored`");
    let found = get(place.open().await.as_ref(), &key).await;
    assert!(objects.iter().any(|object| found.as_ref() == Some(object)), "the object is nobody's");
}

/// A reader sees nothing or a whole object that never changes, while writers put objects large enough to be seen half-written.
pub async fn no_reader_sees_half_an_object(harness: &impl Harness) {
    const KEYS: usize = 20;
    const LENGTH: usize = 300_000;
    let place = harness.place().await;
    let done = Arc::new(AtomicUsize::new(0));
    let mut readers = JoinSet::new();
    for _ in 0..2 {
        let (store, done) = (place.open().await, Arc::clone(&done));
        readers.spawn(async move {
            let mut seen = vec![None; KEYS];
            let mut sightings = 0_usize;
            while done.load(Ordering::Acquire) < KEYS {
                for (n, seen) in seen.iter_mut().enumerate() {
                    let found = get(store.as_ref(), &key(format!("contract/{n}"))).await;
                    let hash = found.map(|artifact| artifact.metadata.sha256);
                    assert!(seen.is_none() || *seen == hash, "object {n} changed under a reader");
                    sightings += usize::from(hash.is_some());
                    *seen = hash;
                    // A store that never has to wait would keep the writers from their turn.
                    tokio::task::yield_now().await;
                }
            }
            sightings
        });
    }
    for n in 0..KEYS {
        let objects = (1..4).map(|seed| object(seed, LENGTH)).collect();
        race(place.as_ref(), &key(format!("contract/{n}")), objects).await;
        done.fetch_add(1, Ordering::Release);
    }
    while let Some(sightings) = readers.join_next().await {
        assert!(ok("a reader", sightings) > 0, "a reader saw nothing at all");
    }
}

/// Puts each of `objects` at `key`, all at once, from three clients.
async fn race(place: &dyn Place, key: &Key, objects: Vec<Artifact>) -> Vec<Put> {
    let clients: Vec<Arc<dyn ArtifactStore>> = join_all((0..3).map(|_| place.open())).await;
    let start = Arc::new(tokio::sync::Barrier::new(objects.len()));
    let writers = objects.into_iter().enumerate().map(|(n, object)| {
        let (store, key, start) = (Arc::clone(&clients[n % clients.len()]), key.clone(), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            put(store.as_ref(), &key, &object).await
        })
    });
    join_all(writers).await.into_iter().map(|put| ok("a writer", put)).collect()
}
