//! Finding out whether a store keeps its word about conditions.
//!
//! All of it is done on one constant object, whose key no [`Key`](crate::Key) can be.

use bytes::Bytes;

use super::{
    bucket::Bucket,
    fault::Fault,
    parts::{self, Completion, Upload},
    verdict::NOT_CONDITIONAL,
};
use crate::StoreError;

/// Where the store's own objects are; listings leave them out.
pub(super) const OWN: &str = ".scrapefleet/";

/// The key of the constant object.
const KEY: &str = ".scrapefleet/conditional-put";

/// What is in it.
const BYTES: &[u8] = b"ScrapeFleet puts this object to see whether the store has conditional puts.\n";

/// Refuses a store that has no conditional puts, or says that it has and overwrites.
pub(super) async fn require_conditional_puts(bucket: &Bucket) -> Result<(), StoreError> {
    // Where the object is not there, the first put creates it and the second must be turned away.
    for _ in 0..2 {
        match put(bucket).await {
            Ok(()) => {}
            Err(fault) if fault.has_status(412) => return Ok(()),
            Err(fault) => {
                let fault = if knows_no_conditions(&fault) { fault.refused(NOT_CONDITIONAL) } else { fault };
                return Err(fault.into_error("try a conditional put", &bucket.place()));
            }
        }
    }
    let place = bucket.place();
    Err(StoreError::Refused(format!(
        "the store overwrote an object in a put with `If-None-Match: *`; {NOT_CONDITIONAL} ({place})"
    )))
}

async fn put(bucket: &Bucket) -> Result<(), Fault> {
    let patience = bucket.patience(BYTES.len());
    let put = || {
        let request = bucket.client.put_object().bucket(&bucket.name).key(KEY).if_none_match("*");
        request.content_type("text/plain").body(Bytes::from_static(BYTES).into()).send()
    };
    bucket.send("try a conditional put", patience, put).await.map(drop)
}

/// Whether the store says that it does not know what it is asked. The bucket was listed with the same keys and the
/// same region a moment before, so the one new thing is the header.
fn knows_no_conditions(fault: &Fault) -> bool {
    fault.has_status(501) || fault.has_status(400)
}

/// Whether the completion of an upload in parts is conditional too. Completing one over the constant object must be
/// turned away.
pub(super) async fn completes_conditionally(bucket: &std::sync::Arc<Bucket>) -> Result<bool, Fault> {
    let mut upload =
        Upload::begin(bucket, KEY, parts::create(bucket, KEY).content_type("text/plain")).await?;
    let completed = match upload.send(&Bytes::from_static(BYTES)).await {
        Ok(sent) => upload.complete(sent).await,
        Err(fault) => Err(fault),
    };
    match completed {
        Ok(Completion::Stored) => Ok(false),
        Ok(Completion::Taken) => {
            upload.abort().await;
            Ok(true)
        }
        Ok(Completion::Conflict) => {
            upload.abort().await;
            // Somebody completes one at this moment, and the store noticed.
            Ok(true)
        }
        Err(fault) => {
            upload.abort().await;
            if knows_no_conditions(&fault) { Ok(false) } else { Err(fault) }
        }
    }
}
