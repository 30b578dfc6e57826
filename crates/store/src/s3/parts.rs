//! One upload in parts.

use std::sync::Arc;

use aws_sdk_s3::{
    operation::{
        create_multipart_upload::builders::CreateMultipartUploadFluentBuilder, upload_part::UploadPartOutput,
    },
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use scrapefleet_policy::within;

use super::{bucket::Bucket, fault::Fault};

/// The smallest part that S3 takes, but for the last one: 5 MiB.
const MIN_PART: usize = 5 * 1024 * 1024;

/// How an upload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completion {
    /// The object is there.
    Stored,
    /// Something was there already.
    Taken,
    /// Another writer was at it; the upload must be done anew.
    Conflict,
}

/// An upload that has begun. Aborted when it is dropped before its end.
pub(super) struct Upload {
    bucket: Arc<Bucket>,
    key: String,
    /// None once it has ended.
    id: Option<String>,
}

/// The request that begins an upload.
pub(super) fn create(bucket: &Bucket, key: &str) -> CreateMultipartUploadFluentBuilder {
    bucket.client.create_multipart_upload().bucket(&bucket.name).key(key)
}

impl Upload {
    pub(super) async fn begin(
        bucket: &Arc<Bucket>,
        key: &str,
        request: CreateMultipartUploadFluentBuilder,
    ) -> Result<Self, Fault> {
        let begun = bucket.send("begin an upload", bucket.patience(0), || request.clone().send()).await?;
        match begun.upload_id {
            Some(id) => Ok(Self { bucket: Arc::clone(bucket), key: key.to_owned(), id: Some(id) }),
            None => Err(Fault::nonsense("the store began an upload without giving it an id")),
        }
    }

    /// Sends all parts, a few at once, in order of their numbers.
    pub(super) async fn send(&self, bytes: &Bytes) -> Result<Vec<CompletedPart>, Fault> {
        let size = self.bucket.limits.part.max(MIN_PART);
        let ranges = (0..bytes.len()).step_by(size).map(|from| from..bytes.len().min(from + size));
        let parts: Vec<_> =
            (1..).zip(ranges).map(|(n, range)| self.send_part(n, bytes.slice(range))).collect();
        stream::iter(parts).buffered(self.bucket.limits.parts_at_once.max(1)).try_collect().await
    }

    async fn send_part(&self, number: i32, bytes: Bytes) -> Result<CompletedPart, Fault> {
        let Bucket { client, name, .. } = self.bucket.as_ref();
        let part = || {
            let request = client.upload_part().bucket(name).key(&self.key).set_upload_id(self.id.clone());
            request.part_number(number).body(bytes.clone().into()).send()
        };
        let sent = self.bucket.send("put a part", self.bucket.patience(bytes.len()), part).await?;
        Ok(receipt(number, sent))
    }

    /// Makes the object of its parts, unless something is there.
    pub(super) async fn complete(&mut self, parts: Vec<CompletedPart>) -> Result<Completion, Fault> {
        let Bucket { client, name, .. } = self.bucket.as_ref();
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = || {
            let request = client.complete_multipart_upload().bucket(name).key(&self.key).if_none_match("*");
            request.set_upload_id(self.id.clone()).multipart_upload(parts.clone()).send()
        };
        match self.bucket.send("complete an upload", self.bucket.patience(0), complete).await {
            Ok(_) => {
                self.id = None;
                Ok(Completion::Stored)
            }
            Err(fault) if fault.has_status(412) => Ok(Completion::Taken),
            // Where an earlier answer was lost the upload is over, and the look before the next one finds the object.
            Err(fault) if fault.has_status(409) || fault.has_code("NoSuchUpload") => Ok(Completion::Conflict),
            Err(fault) => Err(fault),
        }
    }

    /// Tells the store to forget the parts. Nothing depends on it but room, so it is tried and a failure is logged.
    pub(super) async fn abort(&mut self) {
        // The id is kept until the end, so that a drop while this waits starts it anew.
        if let Some(id) = self.id.clone() {
            abort(&self.bucket, &self.key, &id).await;
            self.id = None;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let (bucket, key) = (Arc::clone(&self.bucket), std::mem::take(&mut self.key));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { abort(&bucket, &key, &id).await });
        } else {
            tracing::warn!(key, upload = id, "an upload is left incomplete: the program is ending");
        }
    }
}

async fn abort(bucket: &Bucket, key: &str, id: &str) {
    let Bucket { client, name, .. } = bucket;
    let request = || client.abort_multipart_upload().bucket(name).key(key).upload_id(id).send();
    let aborting = bucket.send("abort an upload", bucket.patience(0), request);
    match within(bucket.limits.overall, "abort an upload", Box::pin(aborting)).await {
        Ok(Ok(_)) => {}
        Ok(Err(fault)) if fault.has_code("NoSuchUpload") => {}
        Ok(Err(fault)) => {
            let error = fault.into_error("abort an upload", &bucket.place());
            tracing::warn!(key, upload = id, %error, "an upload is left incomplete");
        }
        Err(late) => tracing::warn!(key, upload = id, %late, "an upload is left incomplete"),
    }
}

/// What the completion must say of a part. Where a store computed a checksum, it wants it back.
fn receipt(number: i32, sent: UploadPartOutput) -> CompletedPart {
    CompletedPart::builder()
        .part_number(number)
        .set_e_tag(sent.e_tag)
        .set_checksum_crc32(sent.checksum_crc32)
        .set_checksum_crc32_c(sent.checksum_crc32_c)
        .set_checksum_crc64_nvme(sent.checksum_crc64_nvme)
        .set_checksum_sha1(sent.checksum_sha1)
        .set_checksum_sha256(sent.checksum_sha256)
        .build()
}
