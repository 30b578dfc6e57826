use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use rustls::pki_types::PrivateKeyDer;
use scrapefleet_api::queue::{OnDelete, RabbitMqQueue};
use scrapefleet_policy::ManualClock;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A management API that says the same to everyone with the right password.
#[derive(Clone)]
struct FakeBroker(Arc<Fake>);

struct Fake {
    /// Each password with what its user is told.
    answers: Mutex<Vec<(&'static str, Answer)>>,
    calls: AtomicUsize,
    asked: Mutex<Vec<String>>,
}

#[derive(Clone)]
enum Answer {
    Body(u16, String),
    /// As many spaces after a bracket.
    Endless(usize),
    Redirect(String),
    Silence,
}

const DENIED: &str = r#"{"error":"not_authorized","reason":"Not_Authorized"}"#;

impl FakeBroker {
    fn new(answers: Vec<(&'static str, Answer)>) -> Self {
        let answers = Mutex::new(answers);
        Self(Arc::new(Fake { answers, calls: AtomicUsize::new(0), asked: Mutex::default() }))
    }

    /// The same for password `pass`.
    fn of(answer: Answer) -> Self {
        Self::new(vec![("pass", answer)])
    }

    /// Starts it; what it listens at.
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let router = self.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        at
    }

    fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    fn says(&self, answer: Answer) {
        *self.0.answers.lock().unwrap() = vec![("pass", answer)];
    }
}

async fn answer(State(broker): State<FakeBroker>, request: Request) -> Response {
    broker.0.calls.fetch_add(1, Ordering::SeqCst);
    broker.0.asked.lock().unwrap().push(request.uri().to_string());
    let sent = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    let answers = broker.0.answers.lock().unwrap().clone();
    let right = |password: &str| {
        sent == Some(format!("Basic {}", BASE64_STANDARD.encode(format!("user:{password}"))))
    };
    let found = answers.into_iter().find(|(password, _)| right(password)).map(|(_, answer)| answer);
    match found.unwrap_or_else(|| Answer::Body(401, DENIED.to_owned())) {
        Answer::Body(code, body) => (StatusCode::from_u16(code).unwrap(), body).into_response(),
        Answer::Endless(length) => format!("[{}", " ".repeat(length)).into_response(),
        Answer::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Answer::Silence => std::future::pending().await,
    }
}

fn list(ready: u64) -> Answer {
    let lane = |fleet: &str| {
        format!(
            r#"{{"name":"scrapefleet.ns.{fleet}:lane.default","messages_ready":{ready},"messages_unacknowledged":2}}"#
        )
    };
    Answer::Body(200, format!("[{},{}]", lane("a"), lane("b")))
}

fn broker(base: &str, password: &str, ca: Option<Vec<u8>>) -> Broker {
    let queue = RabbitMqQueue {
        url: "amqp://mq/".to_owned(),
        management_url: Some(base.to_owned()),
        secret_name: None,
        copies: None,
        on_delete: OnDelete::Keep,
    };
    let credentials = Credentials { username: "user".to_owned(), password: Password::new(password), ca };
    Broker::new(&queue, credentials).unwrap()
}

fn http(at: &str) -> Broker {
    broker(&format!("http://{at}"), "pass", None)
}

fn fleet(name: &str) -> Fleet {
    Fleet { namespace: "ns".to_owned(), name: name.parse().unwrap(), lanes: vec![LaneName::default()] }
}

fn depths() -> Depths {
    Depths::new(Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH)))
}

/// Why fleet `a` is not read from a broker that answers so.
async fn why(answer: Answer) -> Unread {
    let at = FakeBroker::of(answer).start().await;
    depths().read(&http(&at), &fleet("a")).await.unwrap_err()
}

#[tokio::test]
async fn the_depth_is_what_the_broker_says() {
    let fake = FakeBroker::of(list(7));
    let at = fake.start().await;
    let reading = depths().read(&http(&at), &fleet("a")).await.unwrap();
    let total = reading.depth.total();
    assert_eq!((total.ready, total.held), (7, 2));
    assert_eq!(reading.at, Timestamp::UNIX_EPOCH);
    assert!(reading.age < Duration::from_secs(3));
    let asked = fake.0.asked.lock().unwrap().clone();
    assert_eq!(asked, ["/api/queues/%2F?columns=name,state,messages_ready,messages_unacknowledged"]);
}

#[tokio::test]
async fn all_who_ask_at_once_share_one_call() {
    let fake = FakeBroker::of(list(7));
    let (at, depths) = (fake.start().await, depths());
    let ask = |i: usize| {
        let (depths, broker) = (depths.clone(), http(&at));
        async move { depths.read(&broker, &fleet(["a", "b"][i % 2])).await.unwrap().depth.total().ready }
    };
    let read = futures::future::join_all((0..200).map(ask)).await;
    assert!(read.iter().all(|ready| *ready == 7));
    assert_eq!(fake.calls(), 1);
}

#[tokio::test]
async fn a_broker_is_asked_once_a_second_at_most() {
    let fake = FakeBroker::of(list(7));
    let (at, depths) = (fake.start().await, depths());
    let began = Instant::now();
    while fake.calls() < 3 {
        depths.read(&http(&at), &fleet("a")).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(began.elapsed() >= 2 * cache::SHARED, "{:?}", began.elapsed());
}

#[tokio::test]
async fn one_who_goes_away_while_asking_leaves_no_second_call_in_the_same_second() {
    let fake = FakeBroker::of(Answer::Silence);
    let (at, depths) = (fake.start().await, depths());
    let began = Instant::now();
    let (asking, broker) = (depths.clone(), http(&at));
    let first = tokio::spawn(async move { asking.read(&broker, &fleet("a")).await });
    while fake.calls() == 0 {
        tokio::task::yield_now().await;
    }
    first.abort();
    fake.says(list(7));
    assert_eq!(depths.read(&http(&at), &fleet("a")).await.unwrap().depth.total().ready, 7);
    assert!(began.elapsed() >= cache::SHARED, "{:?}", began.elapsed());
    assert_eq!(fake.calls(), 2);
}

#[tokio::test]
async fn a_broker_that_is_silent_costs_all_who_ask_one_deadline() {
    let fake = FakeBroker::of(Answer::Silence);
    let (at, depths) = (fake.start().await, depths());
    let began = Instant::now();
    let ask = |_| {
        let (depths, broker) = (depths.clone(), http(&at));
        async move { depths.read(&broker, &fleet("a")).await.unwrap_err() }
    };
    let answers = futures::future::join_all((0..50).map(ask)).await;
    assert!(began.elapsed() < management::CALL + Duration::from_secs(2), "{:?}", began.elapsed());
    let text = answers[0].to_string();
    assert!(answers.iter().all(|why| *why == answers[0]));
    assert!(text.contains(&at) && text.contains("no answer within 3s"), "{text}");
    assert_eq!(fake.calls(), 1);
}

#[tokio::test]
async fn users_are_not_mixed_up() {
    let fake = FakeBroker::new(vec![("pass", list(1)), ("word", list(2))]);
    let (base, depths) = (format!("http://{}", fake.start().await), depths());
    for _ in 0..2 {
        for (password, ready) in [("pass", Some(1)), ("word", Some(2)), ("wrong", None)] {
            let read = depths.read(&broker(&base, password, None), &fleet("a")).await;
            assert_eq!(read.ok().map(|reading| reading.depth.total().ready), ready, "{password}");
        }
    }
    assert_eq!(fake.calls(), 3);
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    for (code, body, says) in [
        (401, DENIED, "check `username` and `password` in the Secret"),
        (
            401,
            r#"{"error":"not_authorised","reason":"Not management user"}"#,
            "give the user the tag `management`",
        ),
        (
            401,
            r#"{"error":"not_authorised","reason":"User not authorised to access virtual host"}"#,
            "give the user a permission on the vhost",
        ),
        (404, r#"{"error":"Object Not Found","reason":"Not Found"}"#, r#"has no vhost "/""#),
        (404, "<h1>nginx</h1>", "answered 404: <h1>nginx</h1>"),
        (503, "", "answered 503: nothing"),
        (200, "<html>", "cannot be read: expected value at line 1"),
    ] {
        let text = why(Answer::Body(code, body.to_owned())).await.to_string();
        assert!(text.contains(says) && text.contains("127.0.0.1:"), "{code} {body}: {text}");
        assert!(!text.contains("pass\"") && !text.contains("dXNlcjpwYXNz"), "{text}");
    }
}

#[tokio::test]
async fn hostile_answers_are_bounded() {
    let text = why(Answer::Endless(20_000_000)).await.to_string();
    assert!(text.contains("longer than 4194304 bytes"), "{text}");
    let text = why(Answer::Body(500, "\u{1b}[31m\n".repeat(300))).await.to_string();
    assert!(text.len() < 400 && !text.contains(['\u{1b}', '\n']), "{text}");
}

#[tokio::test]
async fn the_password_follows_no_redirect() {
    let thief = FakeBroker::of(list(9));
    let to = format!("http://{}/", thief.start().await);
    let text = why(Answer::Redirect(to)).await.to_string();
    assert!(text.contains("answered 302"), "{text}");
    assert_eq!(thief.calls(), 0);
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    drop(listener);
    let text = depths().read(&http(&at), &fleet("a")).await.unwrap_err().to_string();
    assert!(text.contains(&at) && text.contains("Connection refused"), "{text}");
}

#[tokio::test]
async fn a_broker_that_goes_away_is_unread_when_the_last_reading_is_too_old() {
    let fake = FakeBroker::of(list(7));
    let (at, depths) = (fake.start().await, depths());
    depths.read(&http(&at), &fleet("a")).await.unwrap();
    fake.says(Answer::Body(503, String::new()));
    let began = Instant::now();
    let mut oldest = Duration::ZERO;
    while let Ok(reading) = depths.read(&http(&at), &fleet("a")).await {
        oldest = oldest.max(reading.age);
        assert!(began.elapsed() < Duration::from_secs(20), "it is never unread");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(oldest > Duration::from_secs(1) && oldest < cache::KEPT + cache::SHARED * 2, "{oldest:?}");
    fake.says(list(8));
    tokio::time::sleep(cache::SHARED).await;
    assert_eq!(depths.read(&http(&at), &fleet("a")).await.unwrap().depth.total().ready, 8);
}

/// The fake behind TLS, and the certificate in PEM of the authority that is itself.
async fn start_tls(fake: &FakeBroker) -> (String, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let router = fake.router();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(hyper_util::rt::TokioIo::new(stream), service));
        }
    });
    (base, made.cert.pem().into_bytes())
}

#[tokio::test]
async fn an_authority_of_your_own_is_trusted_when_the_secret_has_it() {
    let fake = FakeBroker::of(list(7));
    let (base, ca) = start_tls(&fake).await;
    let depths = depths();
    let text = depths.read(&broker(&base, "pass", None), &fleet("a")).await.unwrap_err().to_string();
    assert!(text.contains("localhost:") && text.contains("invalid peer certificate"), "{text}");
    let reading = depths.read(&broker(&base, "pass", Some(ca)), &fleet("a")).await.unwrap();
    assert_eq!(reading.depth.total().ready, 7);
    for odd in
        [&b""[..], b"not a certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        let read = depths.read(&broker(&base, "pass", Some(odd.to_vec())), &fleet("a")).await;
        assert!(read.unwrap_err().to_string().starts_with("`ca.crt` in the Secret"));
    }
}
