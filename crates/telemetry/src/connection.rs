//! One HTTP connection, bounded in every way.

use std::{pin::pin, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use scrapefleet_policy::within;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// How long a request's head may take to arrive, and a connection may be silent between requests.
const HEAD: Duration = Duration::from_secs(10);

/// The largest head, in bytes, and so the most that is buffered of a request; bodies are not read at all.
const HEAD_BYTES: usize = 16 * 1024;

/// The most header lines of a request.
const HEAD_LINES: usize = 64;

/// How long a connection is used; then it is closed after the request that runs. Bounds those who never read.
const LIFETIME: Duration = Duration::from_mins(1);

/// How long the request that runs may still take when the connection is to be closed.
const LAST_REQUEST: Duration = Duration::from_secs(11);

/// Answers the requests of one connection until it ends, is old, or the server stops.
pub(crate) async fn serve(stream: TcpStream, router: Router, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_LINES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);

    let ended = within(LIFETIME, "a connection", async {
        tokio::select! {
            result = connection.as_mut() => Some(result),
            () = stop.cancelled() => None,
        }
    });
    let result = if let Ok(Some(result)) = ended.await {
        result
    } else {
        connection.as_mut().graceful_shutdown();
        within(LAST_REQUEST, "the last request of a connection", connection).await.unwrap_or(Ok(()))
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection to the health endpoints broke");
    }
}
