//! What is between a store and its client: a network that can be told to misbehave, or a store that is none.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use scrapefleet_policy::within;
use scrapefleet_store::s3::Options;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// Decides what becomes of a request, by what it is and how many came before.
type Decide = dyn Fn(&Asked, usize) -> Deed + Send + Sync;

/// How long a request may take until it is made, on a busy machine.
const ASKED_WITHIN: Duration = Duration::from_secs(20);

/// The largest body that is passed on.
const MAX_BODY: usize = 300 << 20;

/// The largest body that is kept with its request.
const KEPT_BODY: usize = 4 << 10;

/// A request as it is judged.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// Its body, unless it is long.
    pub(crate) body: Bytes,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// It reaches the store.
    Pass,
    /// It reaches the store, and the answer is lost.
    LoseAnswer,
    /// It is answered here: the status, and the S3 error code or the whole body.
    Answer(u16, &'static str),
    /// It is answered here, with all that it said.
    Echo(u16),
    /// It is never answered.
    Hang,
}

/// A server between a store and its client. It ends when it is dropped.
pub(crate) struct Between {
    pub(crate) endpoint: String,
    asked: watch::Receiver<Vec<Asked>>,
    server: JoinHandle<()>,
}

impl Asked {
    /// Whether it puts the part of that number.
    pub(crate) fn is_part(&self, number: u32) -> bool {
        self.query().contains(&format!("partNumber={number}&"))
    }

    pub(crate) fn begins_upload(&self) -> bool {
        self.method == Method::POST && self.query().contains("uploads")
    }

    pub(crate) fn completes_upload(&self) -> bool {
        self.method == Method::POST && self.query().contains("uploadId=")
    }

    pub(crate) fn aborts_upload(&self) -> bool {
        self.method == Method::DELETE
    }

    /// Whether it is about the constant object with which stores are tried.
    pub(crate) fn is_probe(&self) -> bool {
        self.uri.path().contains("/.scrapefleet/")
    }

    pub(crate) fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }
}

impl Between {
    /// Between a client and the store at `options.endpoint`, which then names this. Deeds are told what is asked, and
    /// how many requests came before.
    pub(crate) async fn of(
        options: &mut Options,
        deed: impl Fn(&Asked, usize) -> Deed + Send + Sync + 'static,
    ) -> Self {
        let store = options.endpoint.take().unwrap();
        let between = Self::start(store, Arc::new(deed)).await;
        options.endpoint = Some(between.endpoint.clone());
        between
    }

    async fn start(store: String, deed: Arc<Decide>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (seen, asked) = watch::channel(Vec::new());
        let seen = Arc::new(Mutex::new(seen));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let handle = move |request: Request| {
            let (store, deed, seen, client) =
                (store.clone(), Arc::clone(&deed), Arc::clone(&seen), client.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, MAX_BODY).await.unwrap_or_default();
                let kept = if body.len() <= KEPT_BODY { body.clone() } else { Bytes::new() };
                let asked = Asked { method: head.method, uri: head.uri, headers: head.headers, body: kept };
                let deed = {
                    let seen = seen.lock().unwrap();
                    let before = seen.borrow().len();
                    let deed = deed(&asked, before);
                    seen.send_modify(|all| all.push(asked.clone()));
                    deed
                };
                carry_out(deed, &client, &store, asked, body).await
            }
        };
        let app = Router::new().fallback(handle);
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { endpoint, asked, server }
    }

    /// Everything that was asked until now.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    /// Waits until something was asked.
    pub(crate) async fn until(&mut self, what: impl Fn(&Asked) -> bool) {
        let asked = self.asked.wait_for(|all| all.iter().any(&what));
        within(ASKED_WITHIN, "something is asked", asked).await.unwrap().unwrap();
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn carry_out(deed: Deed, client: &reqwest::Client, store: &str, asked: Asked, body: Bytes) -> Response {
    match deed {
        Deed::Pass => pass(client, store, asked, body).await,
        Deed::LoseAnswer => {
            pass(client, store, asked, body).await;
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Deed::Answer(status, text) => answer(status, text),
        Deed::Echo(status) => {
            let said = format!("{:?}", asked.headers);
            let said = said.replace('&', "&amp;").replace('<', "&lt;");
            let text = format!("<Error><Code>AccessDenied</Code><Message>you said {said}</Message></Error>");
            (StatusCode::from_u16(status).unwrap(), text).into_response()
        }
        Deed::Hang => pending().await,
    }
}

fn answer(status: u16, text: &str) -> Response {
    let is_code = !text.is_empty() && text.chars().all(char::is_alphanumeric);
    let body = if is_code {
        format!(
            "<Error><Code>{text}</Code><Message>No &lt;thing&gt;\n can be done.</Message><Noise>1</Noise></Error>"
        )
    } else {
        text.to_owned()
    };
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

/// Passes a request on as it is: its signature is of the host's name too.
async fn pass(client: &reqwest::Client, store: &str, asked: Asked, body: Bytes) -> Response {
    let url = format!("{store}{}", asked.uri);
    let sent = client.request(asked.method, url).headers(asked.headers).body(body).send().await.unwrap();
    let (status, headers) = (sent.status(), sent.headers().clone());
    let mut response = Response::new(Body::from(sent.bytes().await.unwrap()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().remove("transfer-encoding");
    response
}
