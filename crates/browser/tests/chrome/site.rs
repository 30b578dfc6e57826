//! A single-page application to test against, served on a free port of the loopback interface.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// The application and its list; served until it is dropped.
pub(crate) struct App {
    pub(crate) url: String,
    pub(crate) state: Arc<Shown>,
    server: JoinHandle<()>,
}

/// What the application shows, changed by tests.
#[derive(Default)]
pub(crate) struct Shown {
    /// The rooms of the list, in this order.
    pub(crate) rooms: Mutex<Vec<String>>,
    /// The list does not answer.
    pub(crate) silent: AtomicBool,
    /// Whether it asks for a login instead.
    pub(crate) wall: AtomicBool,
    /// The list's answer comes with a modal.
    pub(crate) modal: AtomicBool,
    /// What `/robots.txt` answers: a status and a text.
    pub(crate) robots: Mutex<Option<(u16, String)>>,
    /// What becomes of rooms called `served-...`: the word for it, and what is left.
    pub(crate) fates: Mutex<BTreeMap<String, (&'static str, String)>>,
    /// Loads of the application.
    pub(crate) loads: AtomicU32,
}

impl App {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Shown>::default();
        let router = Router::new()
            .route("/app", get(app))
            .route("/room/{name}", get(room))
            .route("/rooms.json", get(rooms))
            .route("/file/{name}", get(file))
            .route("/fate/{name}", get(fate))
            .route("/status/{code}", get(status))
            .route("/never", get(async || std::future::pending::<()>().await))
            .route("/robots.txt", get(robots))
            .route("/elsewhere", get(async || Html("<h1>Elsewhere</h1>")))
            .with_state(Arc::clone(&state));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, state, server }
    }

    pub(crate) fn list(&self, rooms: &[&str]) {
        *self.state.rooms.lock().unwrap() = rooms.iter().map(|room| (*room).to_owned()).collect();
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn app(State(shown): State<Arc<Shown>>) -> Html<&'static str> {
    shown.loads.fetch_add(1, SeqCst);
    Html(include_str!("app.html"))
}

/// A page of one room: the application, which enters it by itself.
async fn room(Path(name): Path<String>) -> Html<String> {
    Html(format!("{}<script>app.join({})</script>", include_str!("app.html"), json!(name)))
}

async fn rooms(State(shown): State<Arc<Shown>>) -> Json<Value> {
    if shown.silent.load(SeqCst) {
        std::future::pending::<()>().await;
    }
    let (rooms, modal, wall) =
        (&*shown.rooms.lock().unwrap(), shown.modal.load(SeqCst), shown.wall.load(SeqCst));
    Json(json!({ "rooms": rooms, "modal": modal, "wall": wall }))
}

async fn fate(Path(name): Path<String>, State(shown): State<Arc<Shown>>) -> Json<Value> {
    let fate = shown.fates.lock().unwrap().get(&name).cloned();
    let (fate, artifact) = fate.unwrap_or(("live", String::new()));
    Json(json!({ "fate": fate, "artifact": artifact }))
}

async fn file(Path(name): Path<String>) -> Response {
    let bytes = if name.contains("big") { vec![b'x'; 3 << 20] } else { vec![0, 159, 146, 150] };
    if name.contains("missing") {
        return StatusCode::NOT_FOUND.into_response();
    }
    ([(header::CONTENT_DISPOSITION, "attachment")], bytes).into_response()
}

async fn status(Path(code): Path<u16>) -> Response {
    (StatusCode::from_u16(code).unwrap(), Html(format!("<h1>{code}</h1>"))).into_response()
}

async fn robots(State(shown): State<Arc<Shown>>) -> Response {
    let answer = shown.robots.lock().unwrap().clone();
    let (code, text) = answer.unwrap_or((404, String::new()));
    (StatusCode::from_u16(code).unwrap(), text).into_response()
}
