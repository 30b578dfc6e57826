//! Reading an object.

use std::collections::BTreeMap;

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_checksums::body::validate::Error as ChecksumError;
use bytes::{Bytes, BytesMut};
use scrapefleet_policy::within;

use super::{
    bucket::{Bucket, Patience},
    fault::{Fault, find},
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
    // The deadlines that count are those within; how large the object is is known only then.
    let Patience { attempt, overall } = bucket.patience(MAX_OBJECT);
    let patience = Patience { attempt: attempt + bucket.limits.request, overall };
    let found = match bucket.attempt("get", patience, || Box::pin(read(bucket, key))).await {
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

async fn read(bucket: &Bucket, key: &Key) -> Result<Found, Fault> {
    let late = |expired: scrapefleet_policy::Expired| Fault::late(expired.limit);
    let get = bucket.client.get_object().bucket(&bucket.name).key(key.as_str()).send();
    let answer = within(bucket.limits.request, "get", get).await.map_err(late)?;
    let answer = answer.map_err(|error| Fault::of(&error, &bucket.secrets))?;
    let length = answer.content_length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    if length > MAX_OBJECT {
        return Ok(Err(too_large()));
    }
    let headers = answer.metadata.unwrap_or_default().into_iter().collect();
    let patience =
        bucket.limits.request + bucket.limits.transfer(if length == 0 { MAX_OBJECT } else { length });
    let bytes = within(patience, "read", collect(bucket, answer.body, length)).await.map_err(late)??;
    Ok(bytes.map(|bytes| (bytes, headers)))
}

async fn collect(
    bucket: &Bucket,
    mut body: ByteStream,
    length: usize,
) -> Result<Result<Bytes, String>, Fault> {
    let mut bytes = BytesMut::with_capacity(length);
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) if bytes.len() + chunk.len() > MAX_OBJECT => return Ok(Err(too_large())),
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(error) if find::<ChecksumError>(&error).is_some() => {
                return Ok(Err("its bytes do not have the checksum that the store says".to_owned()));
            }
            Err(error) => return Err(Fault::broken(&error, &bucket.secrets)),
        }
    }
    Ok(Ok(bytes.freeze()))
}

fn too_large() -> String {
    format!("it has more than {MAX_OBJECT} bytes, which this store never puts")
}
