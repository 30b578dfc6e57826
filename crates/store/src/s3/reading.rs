//! Reading an object.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_checksums::body::validate::Error as ChecksumError;
use bytes::{Bytes, BytesMut};
use scrapefleet_policy::{Instant, within};

use super::{
    bucket::{Bucket, Patience},
    fault::{Fault, find},
    saying::Secrets,
};
use crate::{Artifact, Key, MAX_OBJECT, Metadata, StoreError};

/// Whether something is at `key`.
pub(super) async fn exists(bucket: &Bucket, key: &Key) -> Result<bool, StoreError> {
    let head = || bucket.client.head_object().bucket(&bucket.name).key(key.as_str()).send();
    match bucket.send("look for an object", bucket.patience(0), head).await {
        Ok(_) => Ok(true),
        Err(fault) if fault.has_status(404) => Ok(false),
        Err(fault) => Err(bucket.error("look for", key, fault)),
    }
}

/// What was read, or why it cannot be what this store put there.
type Found = Result<(Bytes, BTreeMap<String, String>), String>;

/// The object at `key`.
pub(super) async fn get(bucket: &Bucket, key: &Key) -> Result<Option<Artifact>, StoreError> {
    let reading = Reading { bucket, key, began: Instant::now(), length: AtomicUsize::new(0) };
    // The deadlines that count are those of the reading, which knows how large the object is.
    let Patience { overall, .. } = bucket.patience(MAX_OBJECT);
    let patience = Patience { attempt: overall, overall };
    let found = match bucket.attempt("get", patience, || Box::pin(reading.attempt())).await {
        Ok(found) => found,
        Err(fault) if fault.has_code("NoSuchKey") => return Ok(None),
        Err(fault) => return Err(bucket.error("get", key, fault)),
    };
    let artifact = found.and_then(|(bytes, headers)| admit(bytes, &headers));
    artifact.map(Some).map_err(|why| StoreError::Damaged { key: key.clone(), why })
}

fn admit(bytes: Bytes, headers: &BTreeMap<String, String>) -> Result<Artifact, String> {
    let metadata = Metadata::from_headers(headers)
        .map_err(|error| format!("its metadata cannot be read, or it was not put by this store: {error}"))?;
    let artifact = Artifact { bytes, metadata };
    artifact.verify().map_err(|mismatch| mismatch.to_string())?;
    Ok(artifact)
}

/// The attempts to read one object.
struct Reading<'a> {
    bucket: &'a Bucket,
    key: &'a Key,
    began: Instant,
    /// How many bytes it has, once that is known.
    length: AtomicUsize,
}

impl Reading<'_> {
    /// Reads it once.
    async fn attempt(&self) -> Result<Found, Fault> {
        self.read().await.map_err(|fault| if self.left().is_zero() { fault.last() } else { fault })
    }

    /// What is left of the time for all attempts.
    fn left(&self) -> Duration {
        let overall = self.bucket.patience(self.length.load(Ordering::Relaxed)).overall;
        overall.saturating_sub(self.began.elapsed())
    }

    async fn read(&self) -> Result<Found, Fault> {
        let Bucket { client, name, limits, secrets, .. } = self.bucket;
        let get = Box::pin(client.get_object().bucket(name).key(self.key.as_str()).send());
        let limit = limits.request.min(self.left());
        let answer = within(limit, "get", get).await.map_err(|_| Fault::late(limit))?;
        let answer = answer.map_err(|error| Fault::of(&error, secrets))?;
        // A store that does not say how much comes gets the time for the largest object.
        let length = answer.content_length.and_then(|length| usize::try_from(length).ok());
        if length.is_some_and(|length| length > MAX_OBJECT) {
            return Ok(Err(too_large()));
        }
        self.length.store(length.unwrap_or(MAX_OBJECT), Ordering::Relaxed);
        let limit = self.bucket.patience(length.unwrap_or(MAX_OBJECT)).attempt.min(self.left());
        let collecting = collect(answer.body, length.unwrap_or(0), secrets);
        let bytes = within(limit, "read", collecting).await.map_err(|_| Fault::late(limit))??;
        Ok(bytes.map(|bytes| (bytes, answer.metadata.unwrap_or_default().into_iter().collect())))
    }
}

async fn collect(
    mut body: ByteStream,
    length: usize,
    secrets: &Secrets,
) -> Result<Result<Bytes, String>, Fault> {
    let mut bytes = BytesMut::with_capacity(length);
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) if bytes.len() + chunk.len() > MAX_OBJECT => return Ok(Err(too_large())),
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(error) if find::<ChecksumError>(&error).is_some() => {
                return Ok(Err("its bytes do not have the checksum that the store says".to_owned()));
            }
            Err(error) => return Err(Fault::broken(&error, secrets)),
        }
    }
    Ok(Ok(bytes.freeze()))
}

fn too_large() -> String {
    format!("it has more than {MAX_OBJECT} bytes, which this store never puts")
}
