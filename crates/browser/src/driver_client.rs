//! The HTTP client for the driver: never through a proxy, and with a bound on what it reads.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use thirtyfour::{
    error::{WebDriverError, WebDriverResult},
    session::http::{Body, HttpClient},
};

/// The longest answer, in bytes: the largest artifact of 16 MiB with every character escaped.
const MOST_READ: usize = 100 << 20;

/// The HTTP client for the driver. Deadlines are the caller's, one for each command.
#[derive(Debug, Clone)]
pub(crate) struct DriverClient(reqwest::Client);

impl DriverClient {
    /// A client with connections of its own.
    pub(crate) fn new() -> WebDriverResult<Self> {
        Ok(Self(reqwest::Client::builder().no_proxy().build()?))
    }

    /// Asks a plain page of the driver or of Chrome; answers whether it was there.
    pub(crate) async fn ask(&self, method: http::Method, url: url::Url) -> WebDriverResult<Bytes> {
        read(self.0.request(method, url).send().await.map_err(|e| lost(&e))?).await
    }
}

#[async_trait::async_trait]
impl HttpClient for DriverClient {
    async fn send(&self, request: Request<Body<'_>>) -> WebDriverResult<Response<Bytes>> {
        let (parts, body) = request.into_parts();
        let request = self.0.request(parts.method, parts.uri.to_string()).headers(parts.headers);
        let request = match body {
            Body::Empty => request,
            Body::Json(json) => request.json(json),
        };
        let response = request.send().await.map_err(|e| lost(&e))?;
        let status = response.status();
        let body = read(response).await?;
        Response::builder()
            .status(status)
            .body(body)
            .map_err(|e| WebDriverError::RequestFailed(e.to_string()))
    }

    async fn new(&self) -> Arc<dyn HttpClient> {
        Arc::new(self.clone())
    }
}

async fn read(mut response: reqwest::Response) -> WebDriverResult<Bytes> {
    let mut body = BytesMut::new();
    while let Some(part) = response.chunk().await.map_err(|e| lost(&e))? {
        if body.len() + part.len() > MOST_READ {
            return Err(WebDriverError::NotFound(
                "answer".to_owned(),
                format!("longer than {MOST_READ} bytes"),
            ));
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// Says what lies beneath: "connection refused", not "error sending request".
fn lost(error: &reqwest::Error) -> WebDriverError {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    WebDriverError::CommandSendError(format!("the driver does not answer: {deepest}"))
}
