//! The Lease object behind the API server.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::PostParams};
use scrapefleet_policy::within;
use scrapefleet_telemetry::escape;

use super::elector::{Answer, Request};

/// The longest text of a failure, in characters.
const LONGEST_FAILURE: usize = 300;

/// One Lease object.
#[derive(Debug, Clone)]
pub(crate) struct LeaseApi {
    api: Api<Lease>,
    name: String,
    namespace: String,
}

impl LeaseApi {
    /// The Lease `name` in `namespace`; it need not be there.
    pub(crate) fn new(client: Client, namespace: &str, name: &str) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, name: name.to_owned(), namespace: namespace.to_owned() }
    }

    /// Asks, and waits for the answer no longer than `limit`. The client by itself repeats for minutes what an API
    /// server refuses for being busy; dropping the call ends that too.
    pub(crate) async fn ask(&self, request: Request, limit: Duration) -> Answer {
        let verb = verb(&request);
        let answer = within(limit, verb, Box::pin(self.send(request))).await;
        match answer.map_err(|expired| expired.to_string()) {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => self.failed(verb, &error.to_string()),
            Err(expired) => self.failed(verb, &expired),
        }
    }

    async fn send(&self, request: Request) -> kube::Result<Answer> {
        let parameters = PostParams::default();
        match request {
            Request::Read => Ok(self.api.get_opt(&self.name).await?.map_or(Answer::Absent, found)),
            Request::Create(mut lease) => {
                lease.metadata.name = Some(self.name.clone());
                lease.metadata.namespace = Some(self.namespace.clone());
                of_write(self.api.create(&parameters, &lease).await, false)
            }
            Request::Replace(lease) => {
                of_write(self.api.replace(&self.name, &parameters, &lease).await, true)
            }
        }
    }

    fn failed(&self, verb: &str, why: &str) -> Answer {
        let why: String = escape(why).chars().take(LONGEST_FAILURE).collect();
        Answer::Failed(format!("{verb} {}/{}: {why}", self.namespace, self.name))
    }
}

/// What the answer to a write means. A lease that was there (`existed`) and is not found is gone; for a new one it is the
/// namespace that is missing.
fn of_write(answer: kube::Result<Lease>, existed: bool) -> kube::Result<Answer> {
    match answer {
        Ok(lease) => Ok(found(lease)),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
            Ok(Answer::Conflict)
        }
        Err(kube::Error::Api(status)) if existed && status.is_not_found() => Ok(Answer::Absent),
        Err(error) => Err(error),
    }
}

fn found(lease: Lease) -> Answer {
    Answer::Is(Box::new(lease))
}

fn verb(request: &Request) -> &'static str {
    match request {
        Request::Read => "reading the lease",
        Request::Create(_) => "creating the lease",
        Request::Replace(_) => "renewing the lease",
    }
}
