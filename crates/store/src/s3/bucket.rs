//! The bucket: what every request goes through.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use scrapefleet_policy::{Backoff, Policy, Retry};
use tokio::sync::OnceCell;

use super::{
    fault::Fault,
    options::{Access, Limits},
    saying::Secrets,
};
use crate::{Key, StoreError};

/// The bucket and how it is spoken to.
pub(super) struct Bucket {
    pub(super) client: Client,
    pub(super) name: String,
    /// The endpoint as errors say it.
    pub(super) endpoint: String,
    pub(super) access: Access,
    pub(super) limits: Limits,
    pub(super) secrets: Secrets,
    /// Whether the completion of an upload in parts is conditional; found out when it first matters.
    pub(super) completes_conditionally: OnceCell<bool>,
}

/// The deadlines of one kind of request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Of one attempt.
    pub(super) attempt: Duration,
    /// Of all attempts together.
    pub(super) overall: Duration,
}

impl Bucket {
    /// Where the store is, for errors.
    pub(super) fn place(&self) -> String {
        format!("bucket `{}` at {}", self.name, self.endpoint)
    }

    /// The deadlines of a request that carries `bytes` of an object.
    pub(super) fn patience(&self, bytes: usize) -> Patience {
        let transfer = self.limits.transfer(bytes);
        Patience { attempt: self.limits.request + transfer, overall: self.limits.overall + transfer }
    }

    /// Sends a request, again where that may help.
    pub(super) async fn send<T, E, F>(
        &self,
        name: &'static str,
        patience: Patience,
        request: impl Fn() -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        // The SDK's futures are large, and several of them are held at once.
        let attempt = || Box::pin(request());
        self.attempt(name, patience, || {
            let sent = attempt();
            async { sent.await.map_err(|error| Fault::of(&error, &self.secrets)) }
        })
        .await
    }

    /// Does something that is more than a request, again where that may help.
    pub(super) async fn attempt<T, F>(
        &self,
        name: &'static str,
        patience: Patience,
        operation: impl Fn() -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let pauses = Backoff::from(self.limits.pause).to(self.limits.overall);
        let policy = Policy::named(name)
            .within(patience.attempt)
            .overall(patience.overall)
            .retry(Retry::times(self.limits.attempts).backoff(pauses))
            .when(Fault::is_worth_repeating);
        policy.run(|_| operation()).await.map_err(|failed| {
            let attempts = failed.attempts;
            failed.into_error(|expired| Fault::late(expired.limit)).after(attempts)
        })
    }

    /// The error for a fault when `doing` something (as in "put") with the object at `key`.
    pub(super) fn error(&self, doing: &str, key: &Key, fault: Fault) -> StoreError {
        fault.into_error(&format!("{doing} {key}"), &self.place())
    }

    /// Refuses to write where that was not asked for.
    pub(super) fn admit_writes(&self) -> Result<(), StoreError> {
        match self.access {
            Access::ReadAndWrite => Ok(()),
            Access::ReadOnly => {
                Err(StoreError::Refused(format!("the store was opened for reading only ({})", self.place())))
            }
        }
    }
}
