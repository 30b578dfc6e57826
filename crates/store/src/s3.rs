//! A store in a bucket of an object store that speaks S3.
//!
//! | key in the bucket | what |
//! |---|---|
//! | `KEY` | the bytes of the object; its metadata travels as user metadata (`x-amz-meta-...`), see [`Metadata::headers`] |
//! | `.scrapefleet/conditional-put` | a constant object of a few bytes, for the check below; listings leave it out |
//!
//! # What the bucket's store must have
//!
//! A put is conditional (`If-None-Match: *`), so the store decides between racing writers. A store that does not know
//! that header may refuse it, or worse, ignore it and overwrite. [`connect`] finds either out by putting the constant
//! object, which takes one request where it is there already and two where it is not, and refuses such a store.
//!
//! Permissions: `s3:ListBucket` on the bucket, `s3:GetObject`, `s3:PutObject` and `s3:AbortMultipartUpload` on its
//! objects. Nothing is ever deleted.
//!
//! # Large objects
//!
//! An object above [`Limits::whole`] is uploaded in parts, a few at once; the parts are slices of the bytes that the
//! caller holds already. Nothing can be seen of it until the upload is completed, and the completion is conditional
//! like a put. When anything fails, and when the put's future is dropped, the upload is aborted. What cannot be
//! aborted (the process dies, the network is gone) stays in the bucket as an incomplete upload, which no reader sees
//! but which is paid for: give the bucket a lifecycle rule that aborts incomplete uploads after a day
//! (`AbortIncompleteMultipartUpload`). Whether completions are conditional is found out at the first large object; a
//! store where they are not gets large objects in one request.
//!
//! # Deadlines and retries
//!
//! Each request has a deadline and is repeated a few times within another one, see [`Limits`], through
//! `scrapefleet_policy` like every step of the product; the retries and timeouts of the SDK are switched off, so that
//! there is one place that decides. A repeated put is safe because it is conditional. When the answer to a put is lost
//! and the put is repeated, the answer is [`Put::AlreadyStored`] though it was this writer that stored.
//!
//! # What is not read
//!
//! Of the environment only the region (`AWS_REGION`), where none is given, and what the platform's chain of
//! credentials reads, where that is asked for. Proxies of the environment (`HTTPS_PROXY`) are not used: the SDK does not
//! by default, nor does this.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Artifact, ArtifactStore, Key, Metadata, Put, StoreError};

mod bucket;
mod client;
mod connecting;
mod fault;
mod listing;
mod options;
mod parts;
mod probe;
mod putting;
mod reading;
mod saying;
mod verdict;

use bucket::Bucket;

pub use connecting::connect;
pub use options::{Access, Credentials, Keys, Limits, Options};

/// A store in a bucket; see the [module](self) for how. Made by [`connect`]. Clones share their connections.
#[derive(Clone)]
pub struct S3Store {
    bucket: Arc<Bucket>,
}

#[async_trait]
impl ArtifactStore for S3Store {
    async fn put_new(&self, key: &Key, bytes: Bytes, metadata: &Metadata) -> Result<Put, StoreError> {
        putting::put_new(&self.bucket, key, bytes, metadata).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Artifact>, StoreError> {
        reading::get(&self.bucket, key).await
    }

    async fn exists(&self, key: &Key) -> Result<bool, StoreError> {
        reading::exists(&self.bucket, key).await
    }

    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Key, StoreError>>, StoreError> {
        listing::list(&self.bucket, prefix).await
    }
}

/// Says where the store is, and nothing of its credentials.
impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("place", &self.bucket.place()).finish_non_exhaustive()
    }
}
