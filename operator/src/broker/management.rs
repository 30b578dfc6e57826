//! The broker's management API over HTTP.

use std::{error::Error, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use scrapefleet_policy::within;
use scrapefleet_telemetry::escape;

use super::{
    Unread,
    address::{Broker, InvalidBroker, invalid},
    listing::Listing,
};

/// How long one call may take.
pub(crate) const CALL: Duration = Duration::from_secs(3);

/// The largest list of queues, in bytes: that of about forty thousand queues.
const LARGEST_LIST: usize = 4 * 1024 * 1024;

/// As much of an answer that is no list is read, in bytes, and shown, in characters.
const LARGEST_REFUSAL: usize = 4096;
const LONGEST_SHOWN: usize = 200;

/// How long a connection is kept that nothing is asked on. The broker's HTTP server closes one after five seconds
/// (`request_timeout` of cowboy), and what is asked at just that moment gets no answer.
const IDLE: Duration = Duration::from_secs(3);

/// Asks one broker as one user. It follows no redirects and uses no proxy, so the password goes to nobody else.
#[derive(Debug)]
pub(crate) struct Management {
    broker: Broker,
    authorization: HeaderValue,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl Management {
    pub(crate) fn new(broker: Broker) -> Result<Self, InvalidBroker> {
        let authorization = authorization(&broker)?;
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls(&broker)?);
        let connector = tls.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .build(connector);
        Ok(Self { broker, authorization, client })
    }

    /// The queues of all fleets of the vhost, now.
    pub(crate) async fn list(&self) -> Result<Listing, Unread> {
        let answer = within(CALL, "reading the queues' depths", self.ask()).await;
        answer.unwrap_or_else(|expired| Err(Unread::too_slow(&self.broker.at, expired.limit)))
    }

    async fn ask(&self) -> Result<Listing, Unread> {
        let response = self.send().await?;
        Listing::read(&self.found(response).await?).map_err(|why| self.malformed(why))
    }

    async fn send(&self) -> Result<Response<Incoming>, Unread> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.broker.uri.clone();
        request.headers_mut().insert(header::AUTHORIZATION, self.authorization.clone());
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        self.client.request(request).await.map_err(|error| self.unreachable(&error))
    }

    /// The list that was asked for.
    async fn found(&self, response: Response<Incoming>) -> Result<Bytes, Unread> {
        match response.status() {
            StatusCode::OK => self.body(response, LARGEST_LIST).await,
            status => Err(self.refused(status, response).await),
        }
    }

    async fn body(&self, response: Response<Incoming>, most: usize) -> Result<Bytes, Unread> {
        match Limited::new(response.into_body(), most).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(self
                .malformed(format!("it is longer than {most} bytes: give the fleets a vhost of their own"))),
            Err(error) => Err(self.unreachable(&*error)),
        }
    }

    async fn refused(&self, status: StatusCode, response: Response<Incoming>) -> Unread {
        let body = self.body(response, LARGEST_REFUSAL).await.unwrap_or_default();
        let (at, said) = (self.broker.at.clone(), said(&body));
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Unread::Denied { at, user: self.user(), remedy: remedy(&said), said }
            }
            // The broker says it of a vhost; anything else on that port says it in another way.
            StatusCode::NOT_FOUND if said.starts_with("Object Not Found") => {
                Unread::NoVhost { at, vhost: shown(&self.broker.vhost) }
            }
            _ => Unread::Refused { at, status: status.as_u16(), said },
        }
    }

    fn user(&self) -> String {
        shown(&self.broker.credentials.username)
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> Unread {
        Unread::Unreachable { at: self.broker.at.clone(), why: shown(&causes(error)) }
    }

    fn malformed(&self, why: String) -> Unread {
        Unread::Malformed { at: self.broker.at.clone(), why }
    }
}

fn authorization(broker: &Broker) -> Result<HeaderValue, InvalidBroker> {
    let credentials = &broker.credentials;
    if credentials.username.contains(':') {
        return Err(invalid(
            "username",
            "in the Secret has a colon in it, which the management API cannot take",
        ));
    }
    let both = format!("{}:{}", credentials.username, credentials.password.reveal());
    let encoded = format!("Basic {}", BASE64_STANDARD.encode(both));
    let value = HeaderValue::from_str(&encoded);
    let mut value = value.map_err(|_| invalid("password", "in the Secret cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Trust in the machine's authorities and those of the Secret. For plain HTTP none are read.
fn tls(broker: &Broker) -> Result<ClientConfig, InvalidBroker> {
    let mut roots = RootCertStore::empty();
    if broker.is_tls() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(pem) = &broker.credentials.ca {
            add(&mut roots, pem)?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| invalid("ca.crt", format!("cannot be used: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), InvalidBroker> {
    let refuse = || invalid("ca.crt", "in the Secret is not what is needed: one or more certificates in PEM");
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| refuse())?).map_err(|_| refuse())?;
        count += 1;
    }
    if count == 0 { Err(refuse()) } else { Ok(()) }
}

/// What to do about a refusal. The words are those of RabbitMQ 4.
fn remedy(said: &str) -> &'static str {
    if said.contains("Not management user") {
        "give the user the tag `management`"
    } else if said.contains("access virtual host") {
        "give the user a permission on the vhost"
    } else if said.contains("ACCESS_REFUSED") {
        "give the user the permission `configure` on the fleet's queues and exchanges"
    } else {
        "check `username` and `password` in the Secret"
    }
}

/// What the broker said in a body such as `{"error": "not_authorised", "reason": "Not management user"}`.
fn said(body: &[u8]) -> String {
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else {
        return match shown(&String::from_utf8_lossy(body)) {
            nothing if nothing.is_empty() => "nothing".to_owned(),
            text => text,
        };
    };
    let part = |name: &str| json.get(name).and_then(serde_json::Value::as_str);
    let parts: Vec<&str> = ["error", "reason"].into_iter().filter_map(part).collect();
    shown(&parts.join(": "))
}

/// An error with what it came from.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        next = error.source();
        // Some say what they came from themselves.
        if !texts.last().is_some_and(|last| last.ends_with(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

fn shown(text: &str) -> String {
    escape(text).chars().take(LONGEST_SHOWN).collect()
}
