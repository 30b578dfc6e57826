//! Looks at fleets of an API server in memory. Time is virtual.

mod deaths;

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use scrapefleet_api::queue::OnDelete;
use scrapefleet_policy::ManualClock;
use scrapefleet_telemetry::Metrics;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    fake::{FakeServer, SPACE},
    *,
};
use crate::{
    api::{Doomed, Removed},
    names,
    observe::Secrets,
    plan::{
        Awaited, Browser, Report, ReportedState,
        fixture::{fleet, second},
    },
    watches,
};

/// Counts what it is asked for, and refuses the first time. It leaves the queues of a fleet whose name is `stranded`.
#[derive(Debug, Default)]
struct Removals(Mutex<Vec<String>>, AtomicUsize);

#[async_trait]
impl QueueRemoval for Removals {
    async fn remove(&self, doomed: &Doomed) -> Result<Removed, String> {
        if self.1.fetch_add(1, Ordering::SeqCst) == 0 {
            return Err("the broker is away".to_owned());
        }
        self.0.lock().unwrap().push(doomed.fleet.to_string());
        let stranded = doomed.fleet.as_str() == "stranded";
        Ok(if stranded { Removed::Left("its queues stay: lane.default".to_owned()) } else { Removed::All })
    }
}

struct Scene {
    server: FakeServer,
    context: Arc<Context>,
    clock: ManualClock,
    removals: Arc<Removals>,
    /// Ends with the scene.
    _feed: JoinSet<()>,
}

fn metrics() -> OperatorMetrics {
    OperatorMetrics::new(&Metrics::new("operator", "1").unwrap(), "lease").unwrap()
}

/// An operator that knows what the caches have, and has looked at nothing yet.
fn operator(
    server: &FakeServer,
    caches: &Caches,
    removals: &Arc<Removals>,
    clock: &ManualClock,
    metrics: OperatorMetrics,
) -> Arc<Context> {
    let (client, clock): (_, Arc<dyn Clock>) = (server.client(), Arc::new(clock.clone()));
    Arc::new(Context {
        announcer: Announcer::new(client.clone(), "pod"),
        reports: Reports::new(clock.clone()),
        depths: DepthReader::new(Secrets::new(client.clone()), clock.clone()),
        sessions: Sessions::default(),
        images: Images { program: "p:1".into(), chrome: "c:1".into() },
        client,
        caches: caches.clone(),
        removal: removals.clone(),
        metrics,
        clock,
        pod: "pod".to_owned(),
    })
}

impl Scene {
    /// An operator that has read what there is.
    async fn with(fleets: Vec<Value>) -> Self {
        let server = FakeServer::new();
        for fleet in fleets {
            server.put("scrapefleets", fleet);
        }
        let metrics = metrics();
        let (caches, feed) = watches::caches(server.client(), None, metrics.watch_errors.clone());
        let mut feeding = JoinSet::new();
        feeding.spawn(feed.run());
        caches.ready().await;
        let clock = ManualClock::at(second(1_767_225_600));
        let removals = Arc::new(Removals::default());
        let context = operator(&server, &caches, &removals, &clock, metrics);
        Self { server, context, clock, removals, _feed: feeding }
    }

    /// The operator is dead, and another goes on: it has stood by, and remembers nothing.
    fn take_over(&mut self) {
        self.context = operator(&self.server, &self.context.caches, &self.removals, &self.clock, metrics());
    }

    /// Looks at all fleets once a second.
    async fn seconds(&self, seconds: usize) {
        for _ in 0..seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.clock.advance(Duration::from_secs(1));
            for fleet in self.context.caches.fleets.state() {
                let _ = look(fleet, self.context.clone()).await;
            }
        }
    }

    /// All pods become ready.
    fn pods_become_ready(&self) {
        for name in self.server.names("pods") {
            self.server.change("pods", &name, becomes_ready);
        }
    }

    fn condition(&self, fleet: &str, type_: &str) -> Value {
        let status = self.server.get("scrapefleets", fleet).unwrap()["status"].clone();
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|condition| condition["type"] == type_).unwrap_or_default()
    }
}

fn becomes_ready(pod: &mut Value) {
    pod["status"] = json!({ "phase": "Running", "conditions": [
        { "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:02Z" },
    ] });
}

/// A fleet of one bot and one watcher.
fn small(name: &str) -> Value {
    let mut fleet = fleet(1, 1);
    fleet.metadata.name = Some(name.to_owned());
    fleet.metadata.namespace = Some(SPACE.to_owned());
    fleet.metadata.uid = Some(format!("uid of {name}"));
    fleet.metadata.generation = Some(1);
    fleet.spec.watcher.standby = false;
    json!(fleet)
}

fn starts(writes: &[String], with: &str) -> usize {
    writes.iter().filter(|write| write.starts_with(with)).count()
}

#[tokio::test(start_paused = true)]
async fn everyone_who_waits_for_the_caches_is_told() {
    let metrics = metrics();
    let (caches, feed) = watches::caches(FakeServer::new().client(), None, metrics.watch_errors);
    // Tasks of their own, each with a waker of its own.
    let waiters = [caches.clone(), caches].map(|caches| tokio::spawn(async move { caches.ready().await }));
    tokio::task::yield_now().await;
    tokio::spawn(feed.run());
    for waiter in waiters {
        within(Duration::from_secs(10), "the caches", waiter).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_fleet_gets_what_it_needs_and_an_idle_one_costs_no_write() {
    let scene = Scene::with(vec![small("a")]).await;
    scene.seconds(10).await;
    let writes = scene.server.writes();
    assert_eq!(writes[0], format!("finalizers [\"{}\"]", names::FINALIZER), "{writes:?}");
    assert!(
        writes[1].starts_with("create a-watcher-0-") && writes[2].starts_with("create a-bot-0-"),
        "{writes:?}"
    );
    assert_eq!(starts(&writes, "create"), 2, "{writes:?}");
    assert!(starts(&writes, "status") <= 2, "{writes:?}");
    scene.pods_become_ready();
    scene.seconds(10).await;
    assert_eq!(scene.condition("a", "Ready")["status"], "True");
    scene.server.writes();
    scene.seconds(60).await;
    assert_eq!(scene.server.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn one_who_takes_over_touches_no_pod() {
    let scene = Scene::with(vec![small("a")]).await;
    scene.seconds(10).await;
    scene.pods_become_ready();
    scene.seconds(10).await;
    scene.server.writes();
    let key = (SPACE.to_owned(), "a".to_owned());
    assert_eq!(scene.context.sessions.retain(|_| false), [key], "all is forgotten");
    scene.seconds(30).await;
    assert_eq!(scene.server.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_fleet_drains_before_its_queues_go_and_then_itself() {
    let mut fleet = small("a");
    fleet["spec"]["queue"]["rabbitmq"]["onDelete"] = json!(OnDelete::Delete);
    let scene = Scene::with(vec![fleet]).await;
    scene.seconds(10).await;
    scene.server.change("scrapefleets", "a", |fleet| {
        fleet["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:10Z");
    });
    scene.server.writes();
    scene.seconds(10).await;
    let writes = scene.server.writes();
    assert_eq!((starts(&writes, "delete"), starts(&writes, "finalizers")), (2, 0), "{writes:?}");
    assert_eq!(scene.condition("a", "Ready")["reason"], "Deleting");
    assert_eq!(scene.removals.1.load(Ordering::SeqCst), 0, "its pods may still use the queues");
    for name in scene.server.names("pods") {
        scene.server.remove("pods", &name);
    }
    scene.seconds(1).await;
    assert_eq!(starts(&scene.server.writes(), "finalizers"), 0, "the queues could not be deleted");
    scene.seconds(10).await;
    assert_eq!(*scene.removals.0.lock().unwrap(), ["a"]);
    let writes = scene.server.writes();
    assert_eq!((starts(&writes, "finalizers []"), starts(&writes, "event QueuesLeft")), (1, 0), "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn queues_that_a_fleet_leaves_behind_are_told_and_do_not_keep_it() {
    let mut fleet = small("stranded");
    fleet["spec"]["queue"]["rabbitmq"]["onDelete"] = json!(OnDelete::Delete);
    fleet["metadata"]["finalizers"] = json!([names::FINALIZER]);
    fleet["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:10Z");
    let scene = Scene::with(vec![fleet]).await;
    scene.seconds(10).await;
    let writes = scene.server.writes();
    assert_eq!(starts(&writes, "finalizers []"), 1, "{writes:?}");
    let events =
        scene.server.names("events").into_iter().filter_map(|name| scene.server.get("events", &name));
    let told: Vec<_> = events.filter(|event| event["reason"] == "QueuesLeft").collect();
    assert_eq!(told.len(), 1, "{writes:?}");
    assert_eq!(
        (&told[0]["type"], &told[0]["note"]),
        (&json!("Warning"), &json!("its queues stay: lane.default"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_refuses_is_told_and_tried_again() {
    let scene = Scene::with(vec![small("a")]).await;
    scene.server.refuse_pods(true);
    scene.seconds(20).await;
    let degraded = scene.condition("a", "Degraded");
    assert_eq!((&degraded["status"], &degraded["reason"]), (&json!("True"), &json!("Refused")));
    assert!(degraded["message"].as_str().unwrap().contains("exceeded quota"), "{degraded}");
    scene.server.refuse_pods(false);
    scene.seconds(60).await;
    assert_eq!(scene.server.names("pods").len(), 2);
    assert_eq!(scene.condition("a", "Degraded")["status"], "False");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_cannot_be_read_is_told_so_once_and_harms_no_other() {
    let mut broken = small("broken");
    broken["spec"]["bots"]["max"] = json!("many");
    let scene = Scene::with(vec![broken, small("a")]).await;
    scene.seconds(60).await;
    let ready = scene.condition("broken", "Ready");
    assert_eq!(ready["reason"], "InvalidSpec", "{ready}");
    assert_eq!(scene.server.names("pods").len(), 2);
    let writes = scene.server.writes();
    assert_eq!(starts(&writes, "status of broken"), 1, "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_somebody_else_is_neither_counted_nor_touched() {
    let scene = Scene::with(vec![small("a")]).await;
    let labels = json!({ names::FLEET: "a", names::ROLE: "bot", names::SLOT: "7", names::REVISION: "x" });
    scene.server.put(
        "pods",
        json!({ "metadata": { "name": "mine", "namespace": SPACE, "uid": "m", "labels": labels } }),
    );
    scene.seconds(20).await;
    let writes = scene.server.writes();
    assert_eq!((starts(&writes, "create"), starts(&writes, "delete")), (2, 0), "{writes:?}");
}

/// A report of a bot that has thrown so many browsers away.
fn has_thrown_away(abandoned: u64, why: &str) -> Report {
    Report {
        state: ReportedState::Working,
        browser: Browser { abandoned },
        last_reason: Some(why.to_owned()),
        ..Report::default()
    }
}

#[tokio::test(start_paused = true)]
async fn each_browser_thrown_away_is_an_event_of_its_own_and_told_once() {
    let scene = Scene::with(vec![small("a")]).await;
    scene.seconds(10).await;
    scene.pods_become_ready();
    let bot = scene.server.names("pods").into_iter().find(|name| name.starts_with("a-bot")).unwrap();
    let says = |report| scene.context.reports.put(&format!("uid of {bot}"), report);
    says(has_thrown_away(2, "before us"));
    scene.seconds(10).await;
    scene.server.writes();
    for (abandoned, why) in [(3, "Probe failed (Timeout)"), (4, "it is\ngone")] {
        says(has_thrown_away(abandoned, why));
        scene.seconds(5).await;
        assert_eq!(starts(&scene.server.writes(), "event BrowserAbandoned"), 1);
    }
    let events =
        scene.server.names("events").into_iter().filter_map(|name| scene.server.get("events", &name));
    let events: Vec<_> = events.filter(|event| event["reason"] == "BrowserAbandoned").collect();
    let note = |n: usize| events[n]["note"].as_str().unwrap();
    assert_eq!(
        note(0),
        format!("bot 0 ({bot}) threw away its browser, 3 since it started: Probe failed (Timeout)")
    );
    assert!(note(1).ends_with("4 since it started: it is\\ngone"), "{}", note(1));
    assert_eq!((&events[0]["type"], &events[0]["related"]["name"]), (&json!("Warning"), &json!(bot)));
    // Another operator takes over, and nothing happens.
    scene.context.sessions.retain(|_| false);
    scene.seconds(60).await;
    assert_eq!(starts(&scene.server.writes(), "event"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_waited_for_is_told_with_the_next_look_and_costs_no_pod() {
    let scene = Scene::with(vec![small("a")]).await;
    scene.seconds(10).await;
    scene.pods_become_ready();
    scene.seconds(10).await;
    let watcher = scene.server.names("pods").into_iter().find(|name| name.starts_with("a-watcher")).unwrap();
    let says = |state, waiting| {
        let report = Report { state, waiting, ..Report::default() };
        scene.context.reports.put(&format!("uid of {watcher}"), report);
    };
    scene.server.writes();
    let (field, selector) = ("list.item".to_owned(), "a.none".to_owned());
    let awaited = Awaited { field, selector, since: Some(second(1_767_225_600)), ..Awaited::default() };
    for state in [ReportedState::Starting, ReportedState::Repairing] {
        for _ in 0..20 {
            says(state, Some(awaited.clone()));
            scene.seconds(1).await;
            assert_eq!(scene.condition("a", "SiteAvailable")["reason"], "ListUnreadable");
        }
    }
    let writes = scene.server.writes();
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert_eq!(
        (starts(&writes, "status of a"), starts(&writes, "event ListUnreadable")),
        (1, 1),
        "{writes:?}"
    );
    says(ReportedState::Watching, None);
    scene.seconds(1).await;
    assert_eq!(scene.condition("a", "SiteAvailable")["status"], "True");
    let writes = scene.server.writes();
    assert_eq!((writes.len(), starts(&writes, "status of a")), (1, 1), "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn news_of_a_fleet_is_a_change() {
    let metrics = metrics();
    let (caches, _feed) = watches::caches(FakeServer::new().client(), None, metrics.watch_errors);
    let mut changes = Box::pin(caches.changes());
    caches.news_of(SPACE, "a");
    let change = within(Duration::from_secs(1), "the change", changes.next()).await.unwrap().unwrap();
    assert_eq!((change.namespace.as_deref(), change.name.as_str()), (Some(SPACE), "a"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_pods_that_fails_holds_up_no_change_of_a_fleet() {
    let scene = Scene::with(vec![small("a")]).await;
    scene.seconds(10).await;
    scene.pods_become_ready();
    scene.seconds(10).await;
    let errors = |watch: &str| scene.context.metrics.watch_errors.with_label_values(&[watch]).get();
    scene.server.fail_watches("pods");
    tokio::time::sleep(Duration::from_mins(1)).await;
    let failed = errors("pods");
    assert!((3..20).contains(&failed), "{failed} errors in a minute, each after a longer pause");
    scene.server.writes();
    // What there is comes first.
    let mut changes = Box::pin(scene.context.caches.changes().skip(1));
    scene.server.change("scrapefleets", "a", |fleet| {
        fleet["metadata"]["generation"] = json!(2);
        (fleet["spec"]["bots"]["min"], fleet["spec"]["bots"]["max"]) = (json!(2), json!(2));
    });
    let change = within(Duration::from_millis(100), "the change", changes.next()).await.unwrap().unwrap();
    assert_eq!(change.name, "a");
    scene.seconds(1).await;
    let writes = scene.server.writes();
    assert_eq!(starts(&writes, "create a-bot-1"), 1, "{writes:?}");
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(errors("pods") > failed);
    assert_eq!(errors("scrapefleets"), 0);
}

#[tokio::test(start_paused = true)]
async fn two_pods_that_end_for_one_reason_are_two_events() {
    let scene = Scene::with(vec![small("a")]).await;
    scene.seconds(10).await;
    for round in ["first", "second"] {
        scene.pods_become_ready();
        scene.seconds(5).await;
        let bot = scene.server.names("pods").into_iter().find(|name| name.starts_with("a-bot")).unwrap();
        let said = format!(r#"{{"code":10,"message":"the {round} trouble"}}"#);
        scene.server.change("pods", &bot, |pod| {
            pod["status"] = json!({ "phase": "Failed", "containerStatuses": [{
                "name": "bot", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "terminated": { "exitCode": 10, "message": said, "finishedAt": "2026-01-01T00:00:09Z" } },
            }] });
        });
        scene.seconds(90).await;
        scene.server.remove("pods", &bot);
    }
    let events =
        scene.server.names("events").into_iter().filter_map(|name| scene.server.get("events", &name));
    let notes: Vec<_> = events.map(|event| event["note"].as_str().unwrap_or_default().to_owned()).collect();
    for round in ["first", "second"] {
        let told = notes.iter().filter(|note| note.contains(&format!("the {round} trouble"))).count();
        assert_eq!(told, 1, "{notes:?}");
    }
}
