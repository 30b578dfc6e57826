//! The S3 store against a real MinIO on the loopback interface, and against stores that misbehave.
//!
//! `SCRAPEFLEET_MINIO` is the path of the program `minio`; `cargo xtask test` sets it. Each run starts a server on a
//! free port with a folder of its own; every test has a bucket of its own.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use scrapefleet_store::{
    ArtifactStore,
    contract::{Harness, Place},
    s3, store_contract,
};

mod addressing;
mod between;
mod connecting;
mod large;
mod minio;
mod misbehaving;
mod objects;
mod platform;
mod sample;
mod tls;

struct Buckets;

#[async_trait]
impl Harness for Buckets {
    async fn place(&self) -> Box<dyn Place> {
        Box::new(Bucket(minio::plain().bucket().await))
    }
}

/// Goes when the server goes.
struct Bucket(s3::Options);

#[async_trait]
impl Place for Bucket {
    async fn open(&self) -> Arc<dyn ArtifactStore> {
        Arc::new(s3::connect(self.0.clone()).await.unwrap())
    }
}

store_contract!(Buckets);

mod in_parts {
    //! The same, with objects above the smallest part's size uploaded in parts, and without checksums.

    use super::{Bucket, Harness, Place, async_trait, minio, s3, sample, store_contract};

    struct InParts;

    #[async_trait]
    impl Harness for InParts {
        async fn place(&self) -> Box<dyn Place> {
            let mut options = minio::plain().bucket().await;
            options.limits = s3::Limits { whole: 200_000, ..sample::limits() };
            options.checksums = scrapefleet_api::store::Checksums::WhenRequired;
            Box::new(Bucket(options))
        }
    }

    store_contract!(InParts);
}
