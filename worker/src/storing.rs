//! Ends of holds, carried out beside the bot's loop: a slow store or queue never keeps a browser from being watched.
//!
//! Everything that finishes a claim goes through here, in the one order that loses and doubles nothing: what is
//! to be kept is durable in the store before the queue is told that the task is finished.

use std::{fmt::Display, sync::Arc, time::Duration};

use bytes::Bytes;
use scrapefleet_api::ItemId;
use scrapefleet_policy::{Backoff, Cause, Policy, Retry, Timeout, within};
use scrapefleet_queue::{Failure, Reason};
use scrapefleet_store::{ArtifactStore, Key, Metadata, Put};
use tokio::time::Instant;

use crate::{claims::Claims, owner::stranger, settling::settle, store_trouble::StoreTrouble};

/// How long one call of the store may take, beside the time for the bytes that it carries. A store gives up by itself before
/// that (S3 after 25 s) and says why; past this the connection is taken for dead.
const CALL: Duration = Duration::from_secs(30);

/// The fewest bytes a second that a put is waited for: 1 MiB, as the store's own deadlines have it.
const SLOWEST: usize = 1 << 20;

/// How long an end is tried for in all. Past this the claim is dropped, so the task comes back and the end is
/// tried again later; a put that succeeded is found then and not repeated.
const GIVE_UP: Duration = Duration::from_mins(15);

/// Told of every put or finish that has to be repeated.
pub(crate) type Repeated = dyn Fn(&str) + Send + Sync;

/// An object to store.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// Where.
    pub key: Key,
    /// What.
    pub bytes: Bytes,
    /// What is known of it.
    pub metadata: Metadata,
}

/// How a hold ends.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    /// Its artifact is stored, then its task acknowledged.
    Stored(Object),
    /// The record that it is gone is stored, then its task acknowledged.
    Gone(Object),
    /// Its artifact was there before it was opened: its task is acknowledged.
    Known,
    /// It is tried again after a delay.
    Retried {
        /// The delay.
        delay: Duration,
        /// What failed.
        failure: Failure,
    },
    /// It becomes a dead letter, with what was seen.
    Dead {
        /// What failed.
        failure: Failure,
        /// What was seen, stored first; what cannot be stored is left out.
        evidence: Vec<Object>,
    },
    /// It is given back, its attempt count unchanged.
    Released,
}

/// What became of an end.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The item.
    pub item: ItemId,
    /// How the hold was to end.
    pub ending: Ending,
    /// Whether the put found the artifact there already.
    pub put: Option<Put>,
    /// How many further tasks of the item were acknowledged; or why the end could not be carried out, and they come back.
    pub settled: Result<u64, EndError>,
}

/// Why an end could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndError {
    /// The store did not take it.
    #[error("{0}")]
    Store(String),
    /// The queue did not take it.
    #[error("{0}")]
    Queue(String),
}

/// Carries out the end of a hold.
pub(crate) async fn carry_out(
    claims: Claims,
    mut ending: Ending,
    store: Arc<dyn ArtifactStore>,
    trouble: StoreTrouble,
    repeated: Box<Repeated>,
) -> Outcome {
    let item = claims.task().id.clone();
    let kept = keep_all(store.as_ref(), &mut ending, &trouble, repeated.as_ref()).await;
    let (put, settled) = match kept {
        Ok(put) => (put, settle(claims, &ending, repeated.as_ref()).await),
        Err(error) => (None, Err(error)),
    };
    Outcome { item, ending, put, settled }
}

/// Stores all that is to be kept. An artifact whose place another's has taken makes a dead letter of its item.
async fn keep_all(
    store: &dyn ArtifactStore,
    ending: &mut Ending,
    trouble: &StoreTrouble,
    repeated: &Repeated,
) -> Result<Option<Put>, EndError> {
    let mut put = None;
    if let Ending::Stored(object) | Ending::Gone(object) = ending {
        put = Some(keep(store, object, trouble, repeated).await?);
    }
    if let (Some(Put::AlreadyStored), Ending::Stored(object)) = (put, &*ending)
        && let Some(dead) = displaced(store, object).await?
    {
        (*ending, put) = (dead, None);
    }
    if let Ending::Dead { failure, evidence } = ending {
        failure.evidence = keep_evidence(store, evidence).await;
    }
    Ok(put)
}

/// How long one put of so many bytes may take.
fn put_within(bytes: usize) -> Timeout {
    let seconds = u64::try_from(bytes.div_ceil(SLOWEST)).unwrap_or(u64::MAX);
    Timeout::hard(CALL.saturating_add(Duration::from_secs(seconds)))
}

/// What becomes of an item whose artifact cannot be stored because another's is there: a dead letter that keeps it.
async fn displaced(store: &dyn ArtifactStore, object: &Object) -> Result<Option<Ending>, EndError> {
    let Metadata { fleet, item, attempt, scraped_at, .. } = &object.metadata;
    let found = within(CALL, "look whose artifact is there", stranger(store, &object.key, fleet, item)).await;
    let found = found.map_err(|expired| EndError::Store(expired.to_string()))?;
    let found = found.map_err(|error| EndError::Store(error.to_string()))?;
    Ok(found.map(|message| Ending::Dead {
        failure: Failure { reason: Reason::StoreFailed, message, at: *scraped_at, evidence: Vec::new() },
        evidence: vec![Object { key: Key::evidence(fleet, item, *attempt, "artifact"), ..object.clone() }],
    }))
}

/// Stores an object, however long the store is away, within the bound.
async fn keep(
    store: &dyn ArtifactStore,
    object: &Object,
    trouble: &StoreTrouble,
    repeated: &Repeated,
) -> Result<Put, EndError> {
    let putting = trouble.putting();
    let told = Arc::clone(&putting);
    let put = patiently("put", put_within(object.bytes.len()))
        .on_retry(move |_, why, _| match why {
            Cause::Error(error) => told.failed(error, Instant::now()),
            Cause::Expired(expired) => told.failed(expired, Instant::now()),
        })
        .run(|attempt| async move {
            let put = store.put_new(&object.key, object.bytes.clone(), &object.metadata).await;
            put.inspect_err(|error| note("put", &object.key, attempt, error, repeated))
        })
        .await;
    if put.is_ok() {
        putting.succeeded();
    }
    put.map_err(|failed| EndError::Store(failed.to_string()))
}

/// Stores what was seen at a failure, once each: a dead letter without a picture is better than none.
async fn keep_evidence(store: &dyn ArtifactStore, evidence: &[Object]) -> Vec<String> {
    let mut kept = Vec::new();
    for Object { key, bytes, metadata } in evidence {
        let put = store.put_new(key, bytes.clone(), metadata);
        let put = put_within(bytes.len()).run("put evidence", put).await;
        match put {
            Ok(Ok(_)) => kept.push(key.to_string()),
            Ok(Err(error)) => tracing::warn!(%key, %error, "evidence of a dead letter could not be stored"),
            Err(expired) => tracing::warn!(%key, %expired, "evidence of a dead letter could not be stored"),
        }
    }
    kept
}

/// Tried until it works or the bound is reached, at most every 10 s.
pub(crate) fn patiently<E>(name: &'static str, each: Timeout) -> Policy<E> {
    let backoff = Backoff::from(Duration::from_millis(200)).to(Duration::from_secs(10));
    Policy::named(name).within(each).overall(GIVE_UP).retry(Retry::times(u32::MAX).backoff(backoff))
}

pub(crate) fn note(what: &str, about: &dyn Display, attempt: u32, error: &dyn Display, repeated: &Repeated) {
    repeated(what);
    if attempt == 1 {
        tracing::warn!(%about, %error, "{what} failed and is repeated until it works");
    } else {
        tracing::debug!(%about, %error, attempt, "{what} failed again");
    }
}

#[cfg(test)]
mod tests;
