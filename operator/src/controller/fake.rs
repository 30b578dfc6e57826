//! An API server in memory, for tests: fleets and pods with lists, watches and a log of what was written.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, patch, post},
};
use futures::{StreamExt as _, future, stream};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::{Notify, broadcast};

/// Namespace of everything here.
pub(super) const SPACE: &str = "space";

/// The server. Clones are the same.
#[derive(Clone)]
pub(super) struct FakeServer(Arc<Fake>);

struct Fake {
    state: Mutex<Stored>,
    changes: broadcast::Sender<(&'static str, Value)>,
    death: Notify,
}

/// How far a request had come when who made it was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// It had not reached the server.
    BeforeItsEffect,
    /// It was done, and its answer reached nobody.
    AfterItsEffect,
}

#[derive(Default)]
struct Stored {
    version: u64,
    /// By plural and name.
    objects: BTreeMap<(&'static str, String), Value>,
    writes: Vec<String>,
    refuses_pods: bool,
    /// Plurals whose watches fail.
    unwatched: BTreeSet<&'static str>,
    /// How many requests of looks are answered before the one that kills who makes it.
    deadly: Option<(usize, Death)>,
}

type Asked = Query<BTreeMap<String, String>>;

impl FakeServer {
    pub(super) fn new() -> Self {
        let (state, changes) = (Mutex::default(), broadcast::channel(1000).0);
        Self(Arc::new(Fake { state, changes, death: Notify::new() }))
    }

    pub(super) fn client(&self) -> Client {
        let fleets = "/apis/scrapefleet.io/v1alpha1/scrapefleets";
        let in_space = "/apis/scrapefleet.io/v1alpha1/namespaces/space/scrapefleets/{name}";
        let pods = "/api/v1/namespaces/space/pods";
        let router = Router::new()
            .route(
                fleets,
                get(async |State(server): State<Self>, asked: Asked| server.read("scrapefleets", &asked)),
            )
            .route(in_space, patch(patch_fleet))
            .route(&format!("{in_space}/status"), patch(patch_status))
            .route(
                "/api/v1/pods",
                get(async |State(server): State<Self>, asked: Asked| server.read("pods", &asked)),
            )
            .route(
                pods,
                get(async |State(server): State<Self>, asked: Asked| server.read("pods", &asked))
                    .post(create_pod),
            )
            .route(&format!("{pods}/{{name}}"), patch(patch_pod).delete(delete_pod))
            .route("/apis/events.k8s.io/v1/namespaces/space/events", post(tell))
            .layer(middleware::from_fn_with_state(self.clone(), answer_or_kill))
            .with_state(self.clone());
        Client::new(router, SPACE)
    }

    /// What was written since the last time this was asked.
    pub(super) fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().writes)
    }

    pub(super) fn get(&self, plural: &'static str, name: &str) -> Option<Value> {
        self.lock().objects.get(&(plural, name.to_owned())).cloned()
    }

    pub(super) fn names(&self, plural: &'static str) -> Vec<String> {
        self.lock().objects.keys().filter(|(of, _)| *of == plural).map(|(_, name)| name.clone()).collect()
    }

    /// Puts an object there, or changes it.
    pub(super) fn put(&self, plural: &'static str, mut object: Value) -> Value {
        let mut state = self.lock();
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let before = state.objects.insert((plural, name), object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        // Nobody may be watching yet.
        let _ = self.0.changes.send((plural, json!({ "type": kind, "object": object })));
        object
    }

    pub(super) fn change(&self, plural: &'static str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.get(plural, name).unwrap();
        change(&mut object);
        self.put(plural, object);
    }

    pub(super) fn remove(&self, plural: &'static str, name: &str) {
        if let Some(object) = self.lock().objects.remove(&(plural, name.to_owned())) {
            let _ = self.0.changes.send((plural, json!({ "type": "DELETED", "object": object })));
        }
    }

    pub(super) fn refuse_pods(&self, refuses: bool) {
        self.lock().refuses_pods = refuses;
    }

    /// Ends the watches of these objects, and lets every later one fail.
    pub(super) fn fail_watches(&self, plural: &'static str) {
        self.lock().unwatched.insert(plural);
        // Nobody may be watching yet.
        let _ = self.0.changes.send((plural, Value::Null));
    }

    /// The request that a look makes after so many others gets no answer any more.
    pub(super) fn die_at(&self, after: usize, death: Death) {
        self.lock().deadly = Some((after, death));
    }

    /// Waits until that request was made.
    pub(super) async fn died(&self) {
        self.0.death.notified().await;
    }

    /// Whether a request is that one. What the caches ask for names no namespace: it is no part of a look.
    fn is_deadly(&self, path: &str) -> Option<Death> {
        let mut state = self.lock();
        let (left, death) = state.deadly.take_if(|_| path.contains("/namespaces/"))?;
        match left.checked_sub(1) {
            Some(left) => {
                state.deadly = Some((left, death));
                None
            }
            None => Some(death),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stored> {
        self.0.state.lock().unwrap()
    }

    fn wrote(&self, what: String) {
        self.lock().writes.push(what);
    }

    fn read(&self, plural: &'static str, asked: &Asked) -> Response {
        if asked.contains_key("watch") {
            return self.watch(plural);
        }
        let state = self.lock();
        let items: Vec<_> =
            state.objects.iter().filter(|((of, _), _)| *of == plural).map(|(_, object)| object).collect();
        let metadata = json!({ "resourceVersion": state.version.to_string() });
        Json(json!({ "kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items }))
            .into_response()
    }

    /// What changes from now on, until watches of it are to fail.
    fn watch(&self, plural: &'static str) -> Response {
        if self.lock().unwatched.contains(plural) {
            return refusal(500, "etcd is away");
        }
        let later = stream::unfold(self.0.changes.subscribe(), async |mut changes| {
            let change = changes.recv().await.ok()?;
            Some((change, changes))
        });
        let ours = later.filter(move |(of, _)| future::ready(*of == plural));
        let ours = ours.take_while(|(_, change)| future::ready(!change.is_null()));
        Body::from_stream(ours.map(|(_, change)| Ok::<_, Infallible>(format!("{change}\n")))).into_response()
    }
}

async fn answer_or_kill(State(server): State<FakeServer>, request: Request, next: Next) -> Response {
    let death = server.is_deadly(request.uri().path());
    if death != Some(Death::BeforeItsEffect) {
        let answer = next.run(request).await;
        if death.is_none() {
            return answer;
        }
    }
    server.0.death.notify_one();
    future::pending().await
}

fn refusal(code: u16, message: &str) -> Response {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code });
    (StatusCode::from_u16(code).unwrap(), Json(status)).into_response()
}

async fn create_pod(State(server): State<FakeServer>, Json(mut pod): Json<Value>) -> Response {
    if server.lock().refuses_pods {
        return refusal(403, "exceeded quota");
    }
    let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
    if server.get("pods", &name).is_some() {
        return refusal(409, "it exists");
    }
    server.wrote(format!("create {name}"));
    pod["metadata"]["uid"] = json!(format!("uid of {name}"));
    pod["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    pod["status"] = json!({ "phase": "Pending" });
    (StatusCode::CREATED, Json(server.put("pods", pod))).into_response()
}

async fn patch_pod(
    State(server): State<FakeServer>,
    Path(name): Path<String>,
    Json(patch): Json<Value>,
) -> Response {
    server.wrote(format!("annotate {name}"));
    let annotations = patch["metadata"]["annotations"].as_object().unwrap();
    server.change("pods", &name, |pod| {
        for (key, value) in annotations {
            pod["metadata"]["annotations"][key] = value.clone();
        }
    });
    Json(server.get("pods", &name)).into_response()
}

/// Pods end only when the test says so.
async fn delete_pod(
    State(server): State<FakeServer>,
    Path(name): Path<String>,
    Json(options): Json<Value>,
) -> Response {
    let Some(pod) = server.get("pods", &name) else { return refusal(404, "it is gone") };
    if options["preconditions"]["uid"] != pod["metadata"]["uid"] {
        return refusal(409, "another uid");
    }
    server.wrote(format!("delete {name}"));
    server.change("pods", &name, |pod| pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T01:00:00Z"));
    Json(server.get("pods", &name)).into_response()
}

async fn patch_fleet(
    State(server): State<FakeServer>,
    Path(name): Path<String>,
    Json(patch): Json<Value>,
) -> Response {
    let Some(fleet) = server.get("scrapefleets", &name) else { return refusal(404, "it is gone") };
    if patch["metadata"]["resourceVersion"] != fleet["metadata"]["resourceVersion"] {
        return refusal(409, "it was changed");
    }
    let finalizers = patch["metadata"]["finalizers"].clone();
    server.wrote(format!("finalizers {finalizers}"));
    server.change("scrapefleets", &name, |fleet| fleet["metadata"]["finalizers"] = finalizers);
    Json(server.get("scrapefleets", &name)).into_response()
}

async fn patch_status(State(server): State<FakeServer>, Path(name): Path<String>, patch: Bytes) -> Response {
    // Its content type is YAML, of which JSON is a part.
    let patch: Value = serde_json::from_slice(&patch).unwrap();
    server.wrote(format!("status of {name}: {}", patch["status"]["phase"].as_str().unwrap_or_default()));
    server.change("scrapefleets", &name, |fleet| fleet["status"] = patch["status"].clone());
    Json(server.get("scrapefleets", &name)).into_response()
}

async fn tell(State(server): State<FakeServer>, Json(event): Json<Value>) -> Response {
    server.wrote(format!("event {}", event["reason"].as_str().unwrap_or_default()));
    server.put("events", event.clone());
    (StatusCode::CREATED, Json(event)).into_response()
}
