//! Objects that are uploaded in parts.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use scrapefleet_policy::within;
use scrapefleet_store::{
    Artifact, ArtifactStore as _, MAX_OBJECT, Metadata, Put,
    s3::{self, Limits, Options, S3Store},
};

use crate::{
    between::{Asked, Between, Deed},
    minio,
    sample::{self, assert_says, key, object, refused, unreachable},
};

const MIB: usize = 1024 * 1024;

/// Three parts.
const LARGE: usize = 12 * MIB;

async fn bucket() -> Options {
    let mut options = minio::plain().bucket().await;
    options.limits = Limits { whole: 5 * MIB, part: 5 * MIB, parts_at_once: 2, ..sample::limits() };
    options
}

async fn put(store: &S3Store, name: &str, object: &Artifact) -> Result<Put, scrapefleet_store::StoreError> {
    store.put_new(&key(name), object.bytes.clone(), &object.metadata).await
}

/// How many uploads of the bucket are incomplete. MinIO tells of those of one key only.
async fn incomplete(options: &Options, key: &str) -> usize {
    let client = minio::plain().client();
    let listed =
        Box::pin(client.list_multipart_uploads().bucket(&options.bucket).prefix(key).send()).await.unwrap();
    listed.uploads().len()
}

async fn assert_nothing_left(options: &Options, key: &str) {
    let clean = async {
        while incomplete(options, key).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(Duration::from_secs(20), "no upload is left", clean).await.unwrap();
    assert_eq!(incomplete(options, ".scrapefleet/conditional-put").await, 0);
}

#[tokio::test]
async fn a_large_object_is_stored_in_parts_once() {
    let mut options = bucket().await;
    let between = Between::of(&mut options, |_, _| Deed::Pass).await;
    let store = s3::connect(options.clone()).await.unwrap();
    let first = object(1, LARGE);
    assert_eq!(put(&store, "a", &first).await.unwrap(), Put::Stored);
    let parts = |asked: &[Asked]| {
        asked.iter().filter(|asked| asked.query().contains("partNumber=") && !asked.is_probe()).count()
    };
    assert_eq!(parts(&between.asked()), 3);
    assert_eq!(put(&store, "a", &object(2, LARGE)).await.unwrap(), Put::AlreadyStored);
    assert_eq!(parts(&between.asked()), 3, "a repeat sends no part");
    assert!(store.get(&key("a")).await.unwrap().is_some_and(|found| found == first));
    assert_nothing_left(&options, "a").await;
}

#[tokio::test]
async fn the_completion_is_conditional() {
    let mut options = bucket().await;
    let direct = s3::connect(options.clone()).await.unwrap();
    let first = object(1, LARGE);
    assert_eq!(put(&direct, "a", &first).await.unwrap(), Put::Stored);
    // The look before is told that nothing is there, as when both are at it at once.
    let between =
        Between::of(
            &mut options,
            |asked, _| {
                if asked.method == "HEAD" { Deed::Answer(404, "") } else { Deed::Pass }
            },
        )
        .await;
    let store = s3::connect(options.clone()).await.unwrap();
    assert_eq!(put(&store, "a", &object(2, LARGE)).await.unwrap(), Put::AlreadyStored);
    assert!(between.asked().iter().any(|asked| asked.completes_upload() && !asked.is_probe()));
    assert!(direct.get(&key("a")).await.unwrap().is_some_and(|found| found == first));
    assert_nothing_left(&options, "a").await;
}

#[tokio::test]
async fn of_racing_uploads_one_stores() {
    let options = bucket().await;
    let store = s3::connect(options.clone()).await.unwrap();
    let objects: Vec<_> = (1..=6).map(|seed| object(seed, 6 * MIB)).collect();
    let puts = futures::future::join_all(objects.iter().map(|object| put(&store, "a", object))).await;
    let puts: Vec<_> = puts.into_iter().map(Result::unwrap).collect();
    let winners: Vec<_> = objects.iter().zip(&puts).filter(|(_, put)| **put == Put::Stored).collect();
    assert_eq!(winners.len(), 1, "{puts:?}");
    assert!(store.get(&key("a")).await.unwrap().is_some_and(|found| found == *winners[0].0));
    assert_nothing_left(&options, "a").await;
}

#[tokio::test]
async fn a_failure_in_the_middle_leaves_nothing() {
    let cases: [fn(&Asked) -> Option<Deed>; 3] = [
        |asked| asked.is_part(2).then_some(Deed::Answer(503, "SlowDown")),
        |asked| asked.is_part(3).then_some(Deed::Answer(403, "AccessDenied")),
        |asked| {
            asked.completes_upload().then_some(Deed::Answer(200, "<Error><Code>InternalError</Code></Error>"))
        },
    ];
    for (n, fails) in cases.into_iter().enumerate() {
        let mut options = bucket().await;
        let between = Between::of(&mut options, move |asked, _| {
            fails(asked).filter(|_| !asked.is_probe()).unwrap_or(Deed::Pass)
        })
        .await;
        let store = s3::connect(options.clone()).await.unwrap();
        let object = object(1, LARGE);
        let text = match n {
            1 => refused(put(&store, "a", &object).await),
            _ => unreachable(put(&store, "a", &object).await),
        };
        assert_says(&text, &["put a: HTTP"]);
        assert!(between.asked().iter().any(|asked| asked.aborts_upload() && !asked.is_probe()));
        assert_nothing_left(&options, "a").await;
        assert_eq!(store.get(&key("a")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_put_that_is_dropped_in_the_middle_leaves_nothing() {
    let mut options = bucket().await;
    let mut between =
        Between::of(&mut options, |asked, _| if asked.is_part(2) { Deed::Hang } else { Deed::Pass }).await;
    let store = s3::connect(options.clone()).await.unwrap();
    let object = object(1, LARGE);
    tokio::select! {
        done = put(&store, "a", &object) => panic!("{done:?}"),
        () = between.until(|asked| asked.is_part(2)) => {}
    }
    between.until(|asked| asked.aborts_upload() && !asked.is_probe()).await;
    assert_nothing_left(&options, "a").await;
    assert!(!store.exists(&key("a")).await.unwrap());
}

#[tokio::test]
async fn a_lost_answer_to_a_completion_loses_nothing() {
    let mut options = bucket().await;
    let first = AtomicBool::new(true);
    let _between = Between::of(&mut options, move |asked, _| {
        let completes = asked.completes_upload() && !asked.is_probe();
        if completes && first.swap(false, Ordering::Relaxed) { Deed::LoseAnswer } else { Deed::Pass }
    })
    .await;
    let store = s3::connect(options.clone()).await.unwrap();
    let object = object(1, LARGE);
    assert_eq!(put(&store, "a", &object).await.unwrap(), Put::AlreadyStored);
    assert!(store.get(&key("a")).await.unwrap().is_some_and(|found| found == object));
    assert_nothing_left(&options, "a").await;
}

#[tokio::test]
async fn without_conditional_completions_a_large_object_goes_in_one_request() {
    let mut options = bucket().await;
    let between = Between::of(&mut options, |asked, _| {
        if asked.completes_upload() { Deed::Answer(501, "NotImplemented") } else { Deed::Pass }
    })
    .await;
    let store = s3::connect(options.clone()).await.unwrap();
    let object = object(1, LARGE);
    assert_eq!(put(&store, "a", &object).await.unwrap(), Put::Stored);
    assert_eq!(put(&store, "a", &object).await.unwrap(), Put::AlreadyStored);
    assert!(!between.asked().iter().any(|asked| asked.begins_upload() && !asked.is_probe()));
    assert_nothing_left(&options, "a").await;
}

#[tokio::test]
async fn the_largest_object_passes_and_a_larger_one_is_refused() {
    let mut options = bucket().await;
    options.limits = Limits { connect: Duration::from_secs(20), ..Limits::default() };
    let store = s3::connect(options).await.unwrap();
    let origin = |metadata: &Metadata| scrapefleet_store::Origin {
        fleet: metadata.fleet.clone(),
        item: metadata.item.clone(),
        discovered_at: metadata.discovered_at,
        scraped_at: metadata.scraped_at,
        attempt: 1,
    };
    let origin = origin(&object(1, 1).metadata);
    let bytes = Bytes::from(vec![7; MAX_OBJECT + 1]);
    let metadata = Metadata::of(&bytes, origin.clone(), "text/plain");
    refused(store.put_new(&key("a"), bytes.clone(), &metadata).await);
    let bytes = bytes.slice(1..);
    let metadata = Metadata::of(&bytes, origin, "text/plain");
    assert_eq!(store.put_new(&key("a"), bytes.clone(), &metadata).await.unwrap(), Put::Stored);
    let found = store.get(&key("a")).await.unwrap().unwrap();
    assert!(found.bytes == bytes && found.metadata == metadata);
}
