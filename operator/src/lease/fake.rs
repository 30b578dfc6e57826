//! An API server with one Lease, which keeps versions as the real one does.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response, StatusCode};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Client,
    client::Body,
    core::{Status, response::StatusSummary},
};

/// The API server; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeServer(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    lease: Option<Lease>,
    version: u64,
    /// What happens to the next requests instead of an answer.
    faults: VecDeque<Fault>,
    /// What happens to all requests, after those.
    lasting: Option<Fault>,
    log: Vec<String>,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It is never answered, and not carried out.
    Hang,
    /// It is carried out and never answered.
    HangAfter,
    /// It is refused with this code.
    Refuse(u16),
}

impl FakeServer {
    /// A client of this server.
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, std::convert::Infallible>(server.handle(request).await) }
        });
        Client::new(service, "default")
    }

    /// The same fault for every request, until it is taken away.
    pub(crate) fn always(&self, fault: Option<Fault>) {
        self.lock().lasting = fault;
    }

    /// A fault for the next request.
    pub(crate) fn once(&self, fault: Fault) {
        self.lock().faults.push_back(fault);
    }

    /// The lease as it is.
    pub(crate) fn lease(&self) -> Option<Lease> {
        self.lock().lease.clone()
    }

    /// Who holds the lease; empty when nobody does.
    pub(crate) fn holder(&self) -> String {
        self.lease().and_then(|lease| lease.spec?.holder_identity).unwrap_or_default()
    }

    /// Changes the lease as somebody else would.
    pub(crate) fn edit(&self, edit: impl FnOnce(&mut Lease)) {
        let mut state = self.lock();
        let mut lease = state.lease.clone().unwrap_or_default();
        edit(&mut lease);
        state.store(lease);
    }

    /// Method and path of each request so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let fault = {
            let mut state = self.lock();
            state.log.push(format!("{} {}", parts.method, parts.uri.path()));
            state.faults.pop_front().or(state.lasting)
        };
        match fault {
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Refuse(code)) => refusal(code, ""),
            Some(Fault::HangAfter) => {
                self.lock().carry_out(&parts.method, &body);
                std::future::pending().await
            }
            None => self.lock().carry_out(&parts.method, &body),
        }
    }
}

impl State {
    fn carry_out(&mut self, method: &Method, body: &[u8]) -> Response<Body> {
        let sent = || serde_json::from_slice::<Lease>(body).unwrap();
        match (method, &self.lease) {
            (&Method::GET, Some(lease)) => answer(StatusCode::OK, lease),
            (&Method::GET | &Method::PUT, None) => refusal(404, "NotFound"),
            (&Method::POST, Some(_)) => refusal(409, "AlreadyExists"),
            (&Method::POST, None) => answer(StatusCode::CREATED, &self.store(sent())),
            (&Method::PUT, Some(mine)) => {
                let lease = sent();
                assert!(lease.metadata.resource_version.is_some(), "every replace carries the version");
                if lease.metadata.resource_version == mine.metadata.resource_version {
                    answer(StatusCode::OK, &self.store(lease))
                } else {
                    refusal(409, "Conflict")
                }
            }
            (other, _) => panic!("{other} is not for leases"),
        }
    }

    fn store(&mut self, mut lease: Lease) -> Lease {
        self.version += 1;
        lease.metadata.resource_version = Some(self.version.to_string());
        self.lease = Some(lease.clone());
        lease
    }
}

fn answer(code: StatusCode, body: &impl serde::Serialize) -> Response<Body> {
    Response::builder().status(code).body(Body::from(serde_json::to_vec(body).unwrap())).unwrap()
}

fn refusal(code: u16, reason: &str) -> Response<Body> {
    let status = Status {
        status: Some(StatusSummary::Failure),
        code,
        reason: reason.to_owned(),
        message: format!("refused with {code}"),
        ..Status::default()
    };
    answer(StatusCode::from_u16(code).unwrap(), &status)
}
