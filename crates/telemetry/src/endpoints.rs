//! What is answered to which request.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{Next, from_fn, map_response},
    response::{IntoResponse, Response},
    routing::get,
};
use scrapefleet_policy::Timeout;
use serde_json::{Map, Value, json};

use crate::{Health, Metrics, MetricsError, Report, Status, health::HealthCollector, logging::LOST};

/// How long answering may take before it is called slow, and before it is given up. Kubernetes's probes wait one second
/// unless told otherwise, Prometheus ten.
const ANSWER: Timeout = Timeout::hard(Duration::from_secs(10)).soft(Duration::from_secs(1));

/// The media type of Prometheus's text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the server shows.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// At `/metrics`.
    pub metrics: Metrics,
    /// At `/livez`, `/readyz` and `/progressz`, in `/status` and as metrics.
    pub health: Health,
    /// At `/status`.
    pub status: Status,
}

impl Endpoints {
    /// The routes. Adds the health and the lost log records to the metrics, so it is done once.
    pub(crate) fn into_router(self) -> Result<Router, MetricsError> {
        self.metrics.collect("health", HealthCollector::new(self.health.clone())?)?;
        self.metrics.collect("log_records_lost_total", LOST.clone())?;
        let router = Router::new()
            .route("/metrics", get(show_metrics))
            .route("/livez", get(async |State(it): State<Self>| probe(&it.health.live())))
            .route("/readyz", get(async |State(it): State<Self>| probe(&it.health.ready())))
            .route("/progressz", get(async |State(it): State<Self>| probe(&it.health.progressing())))
            .route("/status", get(show_status))
            .fallback(not_found)
            .layer(from_fn(answer_in_time))
            .layer(map_response(forbid_guessing))
            .with_state(self);
        Ok(router)
    }
}

async fn show_metrics(State(it): State<Endpoints>) -> Response {
    match it.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn show_status(State(it): State<Endpoints>) -> Json<Value> {
    let mut body = match it.status.ask().await {
        Value::Object(fields) => fields,
        other => Map::from_iter([("status".to_owned(), other)]),
    };
    let health =
        json!({ "live": it.health.live(), "ready": it.health.ready(), "progress": it.health.progressing() });
    body.insert("health".to_owned(), health);
    Json(Value::Object(body))
}

fn probe(report: &Report) -> (StatusCode, String) {
    let code = if report.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, report.to_string())
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "there are /metrics, /livez, /readyz, /progressz and /status\n")
}

async fn answer_in_time(request: Request, next: Next) -> Response {
    match ANSWER.run("answering a request", next.run(request)).await {
        Ok(response) => response,
        Err(expired) => (StatusCode::GATEWAY_TIMEOUT, format!("{expired}\n")).into_response(),
    }
}

/// Bodies quote pages; a browser must not take them for something that runs.
async fn forbid_guessing(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
