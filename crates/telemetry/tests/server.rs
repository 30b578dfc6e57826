//! The server as its clients see it, over loopback.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use reqwest::StatusCode;
use scrapefleet_policy::{Instant, within};
use scrapefleet_telemetry::{Endpoints, Health, Metrics, ServeError, Server, Status};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
};

const FREE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// Longer than any deadline of the server that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

fn endpoints(status: Status) -> Endpoints {
    Endpoints { metrics: Metrics::new("test", "0.0.0").unwrap(), health: Health::new(), status }
}

async fn start(endpoints: Endpoints) -> Server {
    Server::start(FREE, endpoints).await.unwrap()
}

async fn get(server: &Server, path: &str) -> (StatusCode, String) {
    let request = async {
        let response = reqwest::get(format!("http://{}{path}", server.address())).await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    within(PATIENCE, "a request", request).await.unwrap()
}

async fn get_json(server: &Server, path: &str) -> Value {
    serde_json::from_str(&get(server, path).await.1).unwrap()
}

/// What the server sends back until it closes the connection.
async fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    within(PATIENCE, "the answer", stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn livez_fails_when_a_heart_stops_and_recovers() {
    let endpoints = endpoints(Status::none());
    let health = endpoints.health.clone();
    let server = start(endpoints).await;
    assert_eq!(get(&server, "/livez").await, (StatusCode::OK, "ok\n".to_owned()));

    let short = health.heartbeat("event loop", Duration::ZERO);
    let (code, text) = get(&server, "/livez").await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.starts_with("[-]event loop failed: no beat for "), "{text}");
    drop(short);

    let long = health.heartbeat("event loop", Duration::from_hours(1));
    long.beat();
    assert_eq!(get(&server, "/livez").await, (StatusCode::OK, "[+]event loop ok\nok\n".to_owned()));
}

#[tokio::test]
async fn readyz_names_the_check_that_fails_and_recovers() {
    let endpoints = endpoints(Status::none());
    let health = endpoints.health.clone();
    let server = start(endpoints).await;
    let (queue, store) = (health.check("queue", "not opened yet"), health.check("store", "not opened yet"));
    store.pass();
    let expected = "[-]queue failed: not opened yet\n[+]store ok\nfailed\n".to_owned();
    assert_eq!(get(&server, "/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, expected));
    assert_eq!(get(&server, "/livez").await.0, StatusCode::OK, "not ready is not dead");
    queue.pass();
    assert_eq!(get(&server, "/readyz").await.0, StatusCode::OK);
    store.fail("disk full");
    let (code, text) = get(&server, "/readyz").await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("[-]store failed: disk full\n"), "{text}");
}

#[tokio::test]
async fn progressz_fails_without_progress_and_recovers() {
    let endpoints = endpoints(Status::none());
    let health = endpoints.health.clone();
    let server = start(endpoints).await;
    let progress = health.progress("bot-1", Duration::ZERO);
    assert_eq!(get(&server, "/progressz").await.0, StatusCode::OK, "idle");
    progress.busy();
    assert_eq!(get(&server, "/progressz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    progress.idle();
    assert_eq!(get(&server, "/progressz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_parse_and_show_the_health() {
    let endpoints = endpoints(Status::none());
    let (metrics, health) = (endpoints.metrics.clone(), endpoints.health.clone());
    let server = start(endpoints).await;
    let stored = metrics.counter_vec("stored_total", "Stored items.", &["lane"]).unwrap();
    stored.with_label_values(&["a \"b\"\n\\c"]).inc_by(7);
    metrics.histogram("hold_seconds", "Holds.", &[1.0, 60.0]).unwrap().observe(2.0);
    let _queue = health.check("queue", "gone");
    let progress = health.progress("bot-1", Duration::from_mins(1));
    progress.made();

    let response = reqwest::get(format!("http://{}/metrics", server.address())).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let text = response.text().await.unwrap();
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).map(parse_sample).collect();
    let value = |name: &str| samples.iter().find(|(found, _)| found == name).map(|(_, value)| *value);
    assert_eq!(value(r#"scrapefleet_stored_total{lane="a \"b\"\n\\c"}"#), Some(7.0), "{text}");
    assert_eq!(value("scrapefleet_hold_seconds_count"), Some(1.0));
    assert_eq!(value(r#"scrapefleet_hold_seconds_bucket{le="+Inf"}"#), Some(1.0));
    assert_eq!(value(r#"scrapefleet_build_info{program="test",version="0.0.0"}"#), Some(1.0));
    assert_eq!(value("scrapefleet_log_records_lost_total"), Some(0.0));
    assert_eq!(value(r#"scrapefleet_health{part="queue",signal="ready"}"#), Some(0.0));
    assert_eq!(value(r#"scrapefleet_health{part="bot-1",signal="progress"}"#), Some(1.0));
    assert!(value(r#"scrapefleet_progress_age_seconds{part="bot-1"}"#).unwrap() < 60.0);
}

/// A line of the text format as its name with labels, and its value.
fn parse_sample(line: &str) -> (String, f64) {
    let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in {line:?}"));
    let bare = name.split('{').next().unwrap();
    assert!(bare.starts_with("scrapefleet_"), "{line}");
    assert!(bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
    (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number in {line:?}")))
}

#[tokio::test]
async fn status_has_the_programs_fields_and_the_health() {
    let (sender, receiver) = watch::channel(json!({ "bots": [] }));
    let endpoints = endpoints(Status::watch(receiver));
    let health = endpoints.health.clone();
    let server = start(endpoints).await;
    let _store = health.check("store", "disk full");
    let ready = json!({ "ok": false, "parts": { "store": { "ok": false, "reason": "disk full" } } });
    let well = json!({ "ok": true, "parts": {} });
    let expected = json!({ "bots": [], "health": { "live": well, "ready": ready, "progress": well } });
    assert_eq!(get_json(&server, "/status").await, expected);
    sender.send_replace(json!({ "bots": [{ "slot": 1 }] }));
    assert_eq!(get_json(&server, "/status").await["bots"][0]["slot"], 1);
}

#[tokio::test]
async fn status_may_wait_and_may_be_no_object() {
    let server = start(endpoints(Status::of_async(|| async {
        tokio::task::yield_now().await;
        json!("quiet")
    })))
    .await;
    assert_eq!(get_json(&server, "/status").await["status"], "quiet");
}

#[tokio::test]
async fn a_status_that_never_comes_is_given_up() {
    let asked = Arc::new(Notify::new());
    let tell = asked.clone();
    let server = start(endpoints(Status::of_async(move || {
        tell.notify_one();
        std::future::pending()
    })))
    .await;
    let request = b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let waiting = tokio::spawn(async move { exchange(&server, request).await });
    within(PATIENCE, "the request", asked.notified()).await.unwrap();
    pass(Duration::from_secs(11)).await;
    let answer = waiting.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert!(answer.ends_with("answering a request did not finish within 10s\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_never_reads_is_let_go() {
    let much = "x".repeat(16 * 1024 * 1024); // more than the system buffers
    let server = start(endpoints(Status::of(move || json!({ "much": much })))).await;
    let mut lazy = TcpStream::connect(server.address()).await.unwrap();
    lazy.write_all(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    within(PATIENCE, "the first bytes", lazy.readable()).await.unwrap().unwrap();
    pass(Duration::from_mins(2)).await;
    let mut answer = Vec::new();
    let ended = within(PATIENCE, "the end", lazy.read_to_end(&mut answer)).await.unwrap();
    assert!(ended.is_err() || answer.len() < 16 * 1024 * 1024, "{} bytes", answer.len());
}

/// Lets this much time pass at once, timers going off in their order. Only between exchanges: while the clock is
/// paused, bytes on their way would count as nothing to wait for.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::sleep(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn what_is_not_there_says_what_is() {
    let server = start(endpoints(Status::none())).await;
    let (code, text) = get(&server, "/").await;
    assert_eq!(code, StatusCode::NOT_FOUND);
    assert_eq!(text, "there are /metrics, /livez, /readyz, /progressz and /status\n");
    let client = reqwest::Client::new();
    let posted = client.post(format!("http://{}/status", server.address())).body("x").send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_port_in_use_says_where_and_what_to_do() {
    let taken = TcpListener::bind(FREE).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = Server::start(address, endpoints(Status::none())).await.unwrap_err();
    assert!(matches!(error, ServeError::InUse { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on {address}: something else listens there; choose another port with --port, or --port 0 \
             for any that is free"
        )
    );
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused() {
    let elsewhere = "192.0.2.1:0".parse().unwrap(); // of the block for documentation
    let error = Server::start(elsewhere, endpoints(Status::none())).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot listen on 192.0.2.1:0: "), "{error}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = start(endpoints(Status::none())).await;
    let long = format!("GET /livez HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(20 * 1024));
    assert!(exchange(&server, long.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let many = format!("GET /livez HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: a\r\n".repeat(100));
    assert!(exchange(&server, many.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    assert_eq!(get(&server, "/livez").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_body_is_not_waited_for() {
    let server = start(endpoints(Status::none())).await;
    let head = b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nfirst bytes";
    assert!(exchange(&server, head).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_silent_client_is_let_go() {
    let server = start(endpoints(Status::none())).await;
    let mut silent = TcpStream::connect(server.address()).await.unwrap();
    silent.write_all(b"GET /livez HT").await.unwrap();
    pass(Duration::from_secs(11)).await;
    let mut answer = Vec::new();
    within(PATIENCE, "the end", silent.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
}

#[tokio::test]
async fn connections_above_the_most_wait_for_a_place() {
    let server = start(endpoints(Status::none())).await;
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        within(PATIENCE, "an answer", stream.read_exact(&mut first)).await.unwrap().unwrap();
        held.push(stream);
    }
    let mut waiting = TcpStream::connect(server.address()).await.unwrap();
    waiting.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    within(Duration::from_millis(300), "too early", waiting.read_exact(&mut first)).await.unwrap_err();
    held.pop();
    within(PATIENCE, "an answer", waiting.read_exact(&mut first)).await.unwrap().unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}

#[tokio::test]
async fn stopping_answers_the_request_that_runs_and_no_other() {
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (asked.clone(), answer.clone());
    let server = start(endpoints(Status::of_async(move || {
        let (tell, wait) = (tell.clone(), wait.clone());
        async move {
            tell.notify_one();
            wait.notified().await;
            json!({ "answered": true })
        }
    })))
    .await;
    let address = server.address();
    let running =
        tokio::spawn(async move { reqwest::get(format!("http://{address}/status")).await?.text().await });
    within(PATIENCE, "the request", asked.notified()).await.unwrap();
    let stopping = tokio::spawn(server.stop());
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    within(PATIENCE, "closing the port", refused).await.unwrap();
    assert!(!stopping.is_finished(), "it waits for the request");
    answer.notify_one();
    assert!(running.await.unwrap().unwrap().contains("\"answered\":true"));
    within(PATIENCE, "stopping", stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_idle_connections() {
    let server = start(endpoints(Status::none())).await;
    let mut idle = TcpStream::connect(server.address()).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    within(PATIENCE, "an answer", idle.read_exact(&mut first)).await.unwrap().unwrap();
    let start = Instant::now();
    server.stop().await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}; silent connections have 10 s", start.elapsed());
}

#[tokio::test]
async fn dropping_closes_the_port() {
    let server = start(endpoints(Status::none())).await;
    let address = server.address();
    drop(server);
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within(PATIENCE, "closing the port", refused).await.unwrap();
}
