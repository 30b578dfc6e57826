//! Putting an object, in one request or in parts.

use std::sync::Arc;

use aws_sdk_s3::operation::{
    create_multipart_upload::builders::CreateMultipartUploadFluentBuilder,
    put_object::builders::PutObjectFluentBuilder,
};
use bytes::Bytes;

use super::{
    bucket::Bucket,
    parts::{self, Completion, Upload},
    probe, reading,
};
use crate::{Key, Metadata, Put, StoreError};

/// Uploads begun for one put: a store that notices a conflict while one is completed wants it done anew.
const UPLOADS: usize = 3;

/// Puts `bytes` at `key` unless something is there.
pub(super) async fn put_new(
    bucket: &Arc<Bucket>,
    key: &Key,
    bytes: Bytes,
    metadata: &Metadata,
) -> Result<Put, StoreError> {
    metadata.admit(key, &bytes)?;
    bucket.admit_writes()?;
    if bytes.len() > bucket.limits.whole && completes_conditionally(bucket).await? {
        Box::pin(in_parts(bucket, key, &bytes, metadata)).await
    } else {
        whole(bucket, key, &bytes, metadata).await
    }
}

async fn completes_conditionally(bucket: &Arc<Bucket>) -> Result<bool, StoreError> {
    let find_out = || Box::pin(probe::completes_conditionally(bucket));
    let found = bucket.completes_conditionally.get_or_try_init(find_out).await;
    found.copied().map_err(|fault| fault.into_error("try a conditional upload in parts", &bucket.place()))
}

async fn whole(bucket: &Bucket, key: &Key, bytes: &Bytes, metadata: &Metadata) -> Result<Put, StoreError> {
    let put = || {
        let request = bucket.client.put_object().bucket(&bucket.name).key(key.as_str()).if_none_match("*");
        described(request, metadata).body(bytes.clone().into()).send()
    };
    match bucket.send("put", bucket.patience(bytes.len()), put).await {
        Ok(_) => Ok(Put::Stored),
        Err(fault) if fault.has_status(412) => Ok(Put::AlreadyStored),
        Err(fault) => Err(bucket.error("put", key, fault)),
    }
}

/// Looks first, so that a repeat does not send everything only to be turned away.
async fn in_parts(
    bucket: &Arc<Bucket>,
    key: &Key,
    bytes: &Bytes,
    metadata: &Metadata,
) -> Result<Put, StoreError> {
    for _ in 0..UPLOADS {
        if reading::exists(bucket, key).await? {
            return Ok(Put::AlreadyStored);
        }
        match upload(bucket, key, bytes, metadata).await? {
            Completion::Stored => return Ok(Put::Stored),
            Completion::Taken => return Ok(Put::AlreadyStored),
            Completion::Conflict => {}
        }
    }
    let place = bucket.place();
    Err(StoreError::Unreachable(format!(
        "put {key}: the store found a conflict with another writer {UPLOADS} times ({place})"
    )))
}

async fn upload(
    bucket: &Arc<Bucket>,
    key: &Key,
    bytes: &Bytes,
    metadata: &Metadata,
) -> Result<Completion, StoreError> {
    let error = |fault| bucket.error("put", key, fault);
    let request = described(parts::create(bucket, key.as_str()), metadata);
    let mut upload = Upload::begin(bucket, key.as_str(), request).await.map_err(error)?;
    let completed = match upload.send(bytes).await {
        Ok(sent) => upload.complete(sent).await,
        Err(fault) => Err(fault),
    };
    if !matches!(completed, Ok(Completion::Stored)) {
        upload.abort().await;
    }
    completed.map_err(error)
}

/// A request that carries what is known of an object.
trait Describe: Sized {
    fn user(self, name: String, value: String) -> Self;
    fn content_type(self, value: &str) -> Self;
    fn content_encoding(self, value: &str) -> Self;
}

macro_rules! describe {
    ($($request:ty),*) => {
        $(impl Describe for $request {
            fn user(self, name: String, value: String) -> Self {
                self.metadata(name, value)
            }
            fn content_type(self, value: &str) -> Self {
                self.content_type(value)
            }
            fn content_encoding(self, value: &str) -> Self {
                self.content_encoding(value)
            }
        })*
    };
}

describe!(PutObjectFluentBuilder, CreateMultipartUploadFluentBuilder);

/// The metadata as user metadata, which reads back, and as the headers that browsers and tools know.
fn described<R: Describe>(request: R, metadata: &Metadata) -> R {
    let mut request = request;
    for (name, value) in metadata.headers() {
        request = request.user(name, value);
    }
    let content_type = metadata.content_type.trim();
    if !content_type.is_empty() {
        request = request.content_type(content_type);
    }
    match metadata.content_encoding.as_deref() {
        Some("gzip") => request.content_encoding("gzip"),
        _ => request,
    }
}
