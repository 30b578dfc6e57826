//! Objects that this store did not put, or that were changed.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use scrapefleet_store::{ArtifactStore as _, Key, Put, StoreError, s3};

use crate::{
    minio,
    sample::{assert_says, key, object},
};

#[tokio::test]
async fn changed_and_foreign_objects_are_damaged() {
    let options = minio::plain().bucket().await;
    let store = s3::connect(options.clone()).await.unwrap();
    let object = object(1, 1_000);
    let client = minio::plain().client();
    let foreign = || client.put_object().bucket(&options.bucket).body(object.bytes.slice(1..).into());
    foreign().key("bare").send().await.unwrap();
    let headers = object.metadata.headers().into_iter().collect();
    foreign().key("changed").set_metadata(Some(headers)).send().await.unwrap();
    foreign().key("strange").metadata("attempt", "many").metadata("fleet", "%ff").send().await.unwrap();
    for (name, expected) in
        [("bare", "not put by this store"), ("changed", "999 bytes"), ("strange", "header `fleet`")]
    {
        match store.get(&key(name)).await {
            Err(StoreError::Damaged { key: found, why }) => {
                assert_eq!(found, key(name));
                assert_says(&why, &[expected]);
            }
            other => panic!("{name}: {other:?}"),
        }
        let put = store.put_new(&key(name), object.bytes.clone(), &object.metadata).await;
        assert_eq!(put.unwrap(), Put::AlreadyStored, "what is there is left alone, whatever it is");
    }
}

#[tokio::test]
async fn other_programs_see_what_an_object_is() {
    let options = minio::plain().bucket().await;
    let store = s3::connect(options.clone()).await.unwrap();
    let mut object = object(1, 1_000);
    object.metadata = object.metadata.encoded(Some("gzip"));
    store.put_new(&key("a"), object.bytes.clone(), &object.metadata).await.unwrap();
    let head = minio::plain().client().head_object().bucket(&options.bucket).key("a").send().await.unwrap();
    assert_eq!(head.content_type(), Some("text/plain; charset=utf-8"));
    assert_eq!(head.content_encoding(), Some("gzip"));
    let user = head.metadata().unwrap();
    assert_eq!(user.get("sha256"), Some(&object.metadata.sha256));
    for name in ["fleet", "item", "discovered-at", "scraped-at", "attempt"] {
        assert!(user.contains_key(name), "{name} is not in {user:?}");
    }
}

#[tokio::test]
async fn keys_that_cannot_be_read_are_errors_and_the_listing_goes_on() {
    let options = minio::plain().bucket().await;
    let store = s3::connect(options.clone()).await.unwrap();
    let client = minio::plain().client();
    for name in ["a", "b c+d", "é☆", ".hidden", "folder/", "x%2Fy", "z"] {
        client.put_object().bucket(&options.bucket).key(name).send().await.unwrap();
    }
    let listed: Vec<_> = store.list("").await.unwrap().collect().await;
    let keys: BTreeSet<Key> = listed.iter().filter_map(|found| found.as_ref().ok().cloned()).collect();
    assert_eq!(keys, BTreeSet::from(["a", "x%2Fy", "z"].map(key)));
    let errors: Vec<_> = listed.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    assert_eq!(errors.len(), 4, "{errors:?}");
    for name in ["`b c+d`", "`é☆`", "`.hidden`", "`folder/`"] {
        let error = errors.iter().find(|error| error.contains(name));
        assert_says(
            error.unwrap_or_else(|| panic!("{name}: {errors:?}")),
            &["move it away", &options.bucket],
        );
    }
}
