//! Stores and networks that misbehave for a while.

use std::time::{Duration, Instant};

use scrapefleet_store::{
    ArtifactStore as _, Put, StoreError,
    s3::{self, Limits},
};

use crate::{
    between::{Between, Deed},
    connecting::{EMPTY, nobodys},
    minio,
    sample::{self, assert_says, key, object, refused, unreachable},
};

#[tokio::test]
async fn what_fails_for_a_moment_is_done_again() {
    for (status, code) in
        [(503, "SlowDown"), (500, "InternalError"), (502, ""), (409, "ConditionalRequestConflict")]
    {
        let mut options = minio::plain().bucket().await;
        // Two failures for each kind of request.
        let store =
            Between::of(
                &mut options,
                move |_, before| {
                    if before % 3 < 2 { Deed::Answer(status, code) } else { Deed::Pass }
                },
            )
            .await;
        let store_ = s3::connect(options).await.unwrap();
        let object = object(1, 1_000);
        assert_eq!(
            store_.put_new(&key("a"), object.bytes.clone(), &object.metadata).await.unwrap(),
            Put::Stored
        );
        assert!(store_.exists(&key("a")).await.unwrap());
        assert_eq!(store_.get(&key("a")).await.unwrap(), Some(object));
        assert_eq!(store.asked().len() % 3, 0);
    }
}

#[tokio::test]
async fn what_goes_on_failing_is_given_up() {
    let mut options = minio::plain().bucket().await;
    let store = Between::of(&mut options, |asked, _| {
        if asked.uri.path().ends_with("/a") { Deed::Answer(503, "SlowDown") } else { Deed::Pass }
    })
    .await;
    let open = s3::connect(options).await.unwrap();
    let object = object(1, 1_000);
    let before = store.asked().len();
    let text = unreachable(open.put_new(&key("a"), object.bytes, &object.metadata).await);
    assert_says(
        &text,
        &["put a: HTTP 503 SlowDown: No <thing> can be done, after 4 attempts", &store.endpoint],
    );
    assert!(!text.contains("Noise"), "{text}");
    assert_eq!(store.asked().len() - before, 4);
}

#[tokio::test]
async fn a_lost_answer_loses_and_doubles_nothing() {
    let mut options = minio::plain().bucket().await;
    let _between = Between::of(&mut options, |asked, before| {
        if asked.uri.path().ends_with("/a") && before < 4 { Deed::LoseAnswer } else { Deed::Pass }
    })
    .await;
    let store = s3::connect(options).await.unwrap();
    let object = object(1, 1_000);
    let put = store.put_new(&key("a"), object.bytes.clone(), &object.metadata).await;
    assert_eq!(put.unwrap(), Put::AlreadyStored);
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(object));
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_given_up_at_the_deadline() {
    let mut options = nobodys();
    let short = Duration::from_millis(150);
    options.limits = Limits { request: short, connect: short, attempts: 2, ..sample::limits() };
    let mut silent = options.clone();
    let _silent = Between::of(&mut silent, |_, _| Deed::Hang).await;
    let began = Instant::now();
    let text = unreachable(s3::connect(silent).await);
    assert_says(&text, &["look at the bucket: no answer within", "`logs`"]);
    assert!(began.elapsed() < Duration::from_secs(5));

    let _store = Between::of(&mut options, |asked, _| match asked.method.as_str() {
        "GET" if asked.query().contains("list-type") => Deed::Answer(200, EMPTY),
        "PUT" if asked.is_probe() => Deed::Answer(412, "PreconditionFailed"),
        _ => Deed::Hang,
    })
    .await;
    options.limits.connect = Duration::from_secs(20);
    let store = s3::connect(options).await.unwrap();
    let (key, object) = (key("a"), object(1, 100));
    let answers = [
        unreachable(store.put_new(&key, object.bytes, &object.metadata).await),
        unreachable(store.get(&key).await),
        unreachable(store.exists(&key).await),
    ];
    for text in answers {
        assert_says(&text, &["no answer within 150.", "after 2 attempts"]);
    }
}

#[tokio::test]
async fn each_refusal_of_a_put_has_its_class() {
    let table = [
        (507, "XMinioStorageFull", "full"),
        (403, "QuotaExceeded", "full"),
        (404, "NoSuchBucket", "refused"),
        (403, "AccessDenied", "refused"),
        (400, "InvalidRequest", "refused"),
    ];
    for (status, code, expected) in table {
        let mut options = nobodys();
        let store = Between::of(&mut options, move |asked, _| match asked.method.as_str() {
            "GET" => Deed::Answer(200, EMPTY),
            _ if asked.is_probe() => Deed::Answer(412, "PreconditionFailed"),
            _ => Deed::Answer(status, code),
        })
        .await;
        let open = s3::connect(options).await.unwrap();
        let object = object(1, 100);
        let (found, text) = match open.put_new(&key("a/b"), object.bytes, &object.metadata).await {
            Err(StoreError::Full(text)) => ("full", text),
            Err(StoreError::Refused(text)) => ("refused", text),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{text}");
        assert_says(&text, &["put a/b: HTTP", &status.to_string(), code, "`logs`", &store.endpoint]);
        assert_eq!(store.asked().len(), 3, "such an answer is not asked for again");
    }
}

#[tokio::test]
async fn a_bucket_that_goes_is_told() {
    let options = minio::plain().bucket().await;
    let store = s3::connect(options.clone()).await.unwrap();
    let client = minio::plain().client();
    client.delete_object().bucket(&options.bucket).key(".scrapefleet/conditional-put").send().await.unwrap();
    client.delete_bucket().bucket(&options.bucket).send().await.unwrap();
    let object = object(1, 100);
    let texts = [
        refused(store.put_new(&key("a"), object.bytes, &object.metadata).await),
        refused(store.get(&key("a")).await),
        refused(store.list("").await.map(|_| ())),
    ];
    for text in texts {
        assert_says(&text, &["NoSuchBucket", &options.bucket, "create the bucket"]);
    }
}
