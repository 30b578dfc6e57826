//! HTTP as the management API speaks it: one user, one address, no proxy and no redirect, so that the password goes to
//! nobody else.

use std::{error::Error, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use scrapefleet_policy::within;

use super::{Options, options::Address, trust};

/// How long one request may take.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// The largest answer, in bytes: a page of five hundred queues has some hundred thousand.
const LARGEST: usize = 4 << 20;
/// How long a connection is kept that nothing is asked on. The broker's HTTP server closes one after five seconds
/// (`request_timeout` of cowboy), and what is asked at just that moment gets no answer.
const IDLE: Duration = Duration::from_secs(3);

/// Asks as one user.
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    authorization: HeaderValue,
}

impl Http {
    /// A client for the user of `options`; why not, when password or certificates cannot be used. Nothing is asked yet.
    pub(super) fn of(options: &Options, address: &Address) -> Result<Self, String> {
        let both = format!("{}:{}", options.username, options.password.reveal());
        let encoded = format!("Basic {}", BASE64_STANDARD.encode(both));
        let mut authorization = HeaderValue::from_str(&encoded).map_err(|error| error.to_string())?;
        authorization.set_sensitive(true);
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls(options, address)?);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(tls.https_or_http().enable_http1().build());
        Ok(Self { client, authorization })
    }

    /// The status and the body of the answer; why not, when there is none.
    pub(super) async fn ask(&self, method: Method, url: &str) -> Result<(StatusCode, Bytes), String> {
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        let mut request = Request::new(Empty::new());
        (*request.method_mut(), *request.uri_mut()) = (method, uri);
        request.headers_mut().insert(header::AUTHORIZATION, self.authorization.clone());
        let answer = async {
            let answer = self.client.request(request).await.map_err(|error| said(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LARGEST).collect().await;
            Ok((status, body.map_err(|error| said(&*error))?.to_bytes()))
        };
        within(REQUEST_WITHIN, "a request to the management API", answer)
            .await
            .map_err(|late| late.to_string())?
    }
}

/// Trust in the machine's authorities and those of the options; without TLS none are needed, and none are read.
fn tls(options: &Options, address: &Address) -> Result<ClientConfig, String> {
    let is_used = address.tls || address.management.starts_with("https:");
    let roots = if is_used { trust::authorities(options.ca.as_deref())? } else { RootCertStore::empty() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What happened, such as that the connection was refused: the innermost error says it. And what to do, where that is known.
fn said(error: &(dyn Error + 'static)) -> String {
    let mut source = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    match trust::advice(error) {
        Some(advice) => format!("{source}: {advice}"),
        None => source.to_string(),
    }
}
