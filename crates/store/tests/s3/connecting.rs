//! What is wrong with a bucket is said when it is opened.

use scrapefleet_store::{
    ArtifactStore as _,
    s3::{self, Access, Credentials, Keys, Options},
};

use crate::{
    between::{Between, Deed},
    minio,
    sample::{self, assert_says, key, object, refused, unreachable},
};

/// A listing of nothing.
pub(crate) const EMPTY: &str = "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>";

/// How to open a bucket of nobody.
pub(crate) fn nobodys() -> Options {
    Options {
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        credentials: Credentials::Keys(Keys::new("TheAccessKey", "TheSecretKey", Some("TheSessionToken"))),
        limits: sample::limits(),
        ..Options::bucket("logs")
    }
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let options = minio::plain().options("not-there");
    let text = refused(s3::connect(options).await);
    assert_says(
        &text,
        &["`not-there`", &minio::plain().endpoint, "HTTP 404 NoSuchBucket", "create the bucket"],
    );
}

#[tokio::test]
async fn wrong_keys_are_told_and_not_shown() {
    let mut options = minio::plain().bucket().await;
    let user = minio::plain().user.clone();
    for (id, secret, code) in [
        ("WrongAccessKey", "WrongSecret", "InvalidAccessKeyId"),
        (&user, "WrongSecret", "SignatureDoesNotMatch"),
    ] {
        options.credentials = Credentials::Keys(Keys::new(id, secret, None));
        let text = refused(s3::connect(options.clone()).await);
        assert_says(&text, &["HTTP 403", code, "keys: correct them in the Secret"]);
        assert!(!text.contains(id) && !text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn an_access_denied_quotes_the_store_and_no_secret_of_ours() {
    let mut options = nobodys();
    let _store = Between::of(&mut options, |_, _| Deed::Echo(403)).await;
    let shown = format!("{options:?}");
    let text = refused(s3::connect(options).await);
    assert_says(&text, &["HTTP 403 AccessDenied: you said", "`s3:PutObject`"]);
    for secret in ["TheAccessKey", "TheSecretKey", "TheSessionToken"] {
        assert!(!text.contains(secret) && !shown.contains(secret), "{text} {shown}");
    }
}

#[tokio::test]
async fn a_store_shows_where_it_is_and_nothing_of_its_keys() {
    let options = minio::plain().bucket().await;
    let server = minio::plain();
    let shown = format!("{:?}", s3::connect(options).await.unwrap());
    assert!(shown.contains("bucket-") && shown.contains(&server.endpoint), "{shown}");
    assert!(!shown.contains(&server.user) && !shown.contains(&server.password), "{shown}");
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused() {
    let mut options = nobodys();
    let store = Between::of(&mut options, |asked, _| {
        Deed::Answer(200, if asked.method == "GET" { EMPTY } else { "" })
    })
    .await;
    let text = refused(s3::connect(options.clone()).await);
    assert_says(&text, &["overwrote an object", "If-None-Match", "`logs`", &store.endpoint]);
    assert!(
        store
            .asked()
            .iter()
            .any(|asked| asked.headers.get("if-none-match").is_some_and(|value| value == "*"))
    );
    options.access = Access::ReadOnly;
    s3::connect(options).await.unwrap();
}

#[tokio::test]
async fn a_store_that_knows_no_conditions_is_refused() {
    for (status, code) in [(501, "NotImplemented"), (400, "InvalidArgument"), (501, "")] {
        let mut options = nobodys();
        let store = Between::of(&mut options, move |asked, _| {
            if asked.method == "GET" { Deed::Answer(200, EMPTY) } else { Deed::Answer(status, code) }
        })
        .await;
        let text = refused(s3::connect(options).await);
        assert_says(
            &text,
            &[&format!("HTTP {status}"), code, "conditional put", "use a store that has them"],
        );
        assert_eq!(store.asked().len(), 2, "such an answer is not asked for again");
    }
}

#[tokio::test]
async fn a_web_server_that_is_no_store_is_told() {
    let mut options = nobodys();
    let _server = Between::of(&mut options, |_, _| Deed::Answer(200, "<html><p>Welcome!</html>")).await;
    let text = unreachable(s3::connect(options).await);
    assert_says(&text, &["HTTP 200", "is `store.s3.endpoint` an object store?"]);
    assert!(!text.contains("Welcome"), "{text}");
}

#[tokio::test]
async fn opening_leaves_one_object_that_no_listing_has_and_reading_only_leaves_none() {
    let options = minio::plain().bucket().await;
    let objects = || async {
        let listed = minio::plain().client().list_objects_v2().bucket(&options.bucket).send().await.unwrap();
        listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let reader = s3::connect(Options { access: Access::ReadOnly, ..options.clone() }).await.unwrap();
    assert_eq!(objects().await, Vec::<String>::new());
    for _ in 0..2 {
        s3::connect(options.clone()).await.unwrap();
        assert_eq!(objects().await, [".scrapefleet/conditional-put"]);
    }
    let object = object(1, 10);
    let text = refused(reader.put_new(&key("a"), object.bytes, &object.metadata).await);
    assert_says(&text, &["reading only", &options.bucket]);
    assert_eq!(reader.get(&key("a")).await.unwrap(), None);
}
