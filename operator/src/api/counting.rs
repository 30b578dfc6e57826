//! A layer under the client that counts requests, and sees that watches are alive.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use prometheus::IntCounterVec;
use scrapefleet_telemetry::Heartbeat;
use tower::{Layer, Service};

/// Counts every request by code, method and host, and beats for each that begins a watch or the list before it.
///
/// An idle watch says nothing, but it is begun anew every few minutes, and again and again while the API server is
/// away: one that is not is stuck.
#[derive(Debug, Clone)]
pub struct Counting {
    requests: IntCounterVec,
    beats: Vec<(&'static str, Heartbeat)>,
}

impl Counting {
    /// Counts in `requests`, with labels `code`, `method` and `host`; `beats` are those of the watches, by the plural
    /// of what they watch.
    #[must_use]
    pub fn new(requests: IntCounterVec, beats: Vec<(&'static str, Heartbeat)>) -> Self {
        Self { requests, beats }
    }

    fn beat(&self, uri: &Uri) {
        let query = uri.query().unwrap_or_default();
        if !query.split('&').any(|part| part == "watch=true" || part.starts_with("limit=")) {
            return;
        }
        let what = uri.path().rsplit('/').next();
        for (_, beat) in self.beats.iter().filter(|(plural, _)| Some(*plural) == what) {
            beat.beat();
        }
    }
}

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, counting: self.clone() }
    }
}

/// A service whose requests are counted.
#[derive(Debug, Clone)]
pub struct Counted<S> {
    inner: S,
    counting: Counting,
}

impl<S, B, R> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.counting.beat(request.uri());
        let method = request.method().to_string();
        let host = request.uri().host().unwrap_or_default().to_owned();
        let requests = self.counting.requests.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code =
                answer.as_ref().map_or_else(|_| "<error>".to_owned(), |r| r.status().as_str().to_owned());
            requests.with_label_values(&[code.as_str(), &method, &host]).inc();
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use prometheus::Opts;
    use scrapefleet_telemetry::Health;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_are_counted_and_watches_beat() {
        let requests =
            IntCounterVec::new(Opts::new("rest_client_requests_total", "x"), &["code", "method", "host"])
                .unwrap();
        let health = Health::new();
        let beat = health.heartbeat("watch of pods", Duration::from_mins(1));
        let counting = Counting::new(requests.clone(), vec![("pods", beat)]);
        let ask = async |uri: &str| {
            let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
            let request = Request::get(uri).body(()).unwrap();
            counting.layer(inner).oneshot(request).await.unwrap();
        };
        tokio::time::advance(Duration::from_secs(61)).await;
        ask("http://api/api/v1/pods?labelSelector=a").await;
        ask("http://api/api/v1/namespaces/a/pods/b?watch=true").await;
        ask("http://api/apis/g/v1/scrapefleets?watch=true").await;
        assert!(!health.live().ok, "none of these is the watch of pods");
        ask("http://api/api/v1/pods?&watch=true&timeoutSeconds=290").await;
        assert!(health.live().ok);
        assert_eq!(requests.with_label_values(&["200", "GET", "api"]).get(), 4);
    }
}
