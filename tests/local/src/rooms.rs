//! A small single-page site whose rooms do what a test says: last, end, or bring their page down.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::{Path, State},
    response::Html,
    routing::get,
};
use tokio::{net::TcpListener, task::JoinSet};

/// What a room does to the page that enters it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Ends after so many milliseconds.
    Lasts(u32),
    /// Runs an endless loop: the page never answers again.
    Loops,
    /// Takes memory until the page's process dies.
    Crashes,
}

/// The site; it is served until this is dropped.
#[derive(Debug)]
pub struct Rooms {
    /// Where it is.
    pub url: String,
    doings: Shared,
    #[expect(dead_code, reason = "it serves for as long as it is there")]
    tasks: JoinSet<()>,
}

type Shared = Arc<Mutex<BTreeMap<String, Room>>>;

impl Rooms {
    /// Serves the site on a free loopback port.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let rooms = Shared::default();
        let app = Router::new()
            .route("/list", get(async |State(rooms): State<Shared>| Html(list(&lock(&rooms)))))
            .route("/app", get(async || Html(page(""))))
            .route("/room/{id}", get(async |Path(id): Path<String>| Html(page(&id))))
            .route(
                "/doing/{id}",
                get(async |State(rooms): State<Shared>, Path(id): Path<String>| doing(&lock(&rooms), &id)),
            )
            .with_state(rooms.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // It ends with the test; a site that fails shows in every wait of the test.
            drop(axum::serve(listener, app).await);
        });
        Ok(Self { url, doings: rooms, tasks })
    }

    /// Adds a room.
    pub fn add(&self, id: &str, room: Room) {
        lock(&self.doings).insert(id.to_owned(), room);
    }

    /// A manifest that scrapes it; `more` is added to its spec.
    #[must_use]
    pub fn manifest(&self, more: &str) -> String {
        format!(
            r##"apiVersion: scrapefleet.io/v1alpha1
kind: ScrapeFleet
metadata: {{ name: rooms }}
spec:
  site:
    url: {}
    recipe:
      mode: inPage
      list:
        url: /list
        item: a
        idPattern: ^/room/(?<id>[a-z0-9]+)$
        emptyWhen: {{ selector: p }}
      page:
        url: /app
        readyWhen: {{ script: return typeof enter === "function" }}
      item:
        url: /room/{{id}}
        enter: enter(arguments[0])
        leave: leave(arguments[0])
        root: "#room-{{id}}"
        doneWhen: {{ selector: .done }}
        take: [{{ text: .done }}]
  queue: {{ embedded: {{}} }}
  store: {{ directory: {{}}, key: "{{id}}" }}
  politeness: {{ connectionsPerMinute: 600, actionsPerSecond: 20, robotsTxt: Ignore }}
{more}"##,
            self.url
        )
    }
}

fn lock(rooms: &Shared) -> MutexGuard<'_, BTreeMap<String, Room>> {
    rooms.lock().unwrap_or_else(PoisonError::into_inner)
}

fn list(rooms: &BTreeMap<String, Room>) -> String {
    if rooms.is_empty() {
        return "<p>no rooms".to_owned();
    }
    let links: Vec<_> = rooms.keys().map(|id| format!("<a href=/room/{id}>{id}</a>")).collect();
    links.join(" ")
}

/// What a room does, as a script that is run when it is entered.
fn doing(rooms: &BTreeMap<String, Room>, id: &str) -> String {
    match rooms.get(id) {
        Some(Room::Lasts(ms)) => format!("setTimeout(() => end(room), {ms})"),
        Some(Room::Loops) => "for (;;) {}".to_owned(),
        Some(Room::Crashes) => "const a = []; for (;;) a.push(new Array(1e6).fill(1.5))".to_owned(),
        None => "leave(room.id)".to_owned(),
    }
}

/// A page that can enter rooms, and enters `entered` at once.
fn page(entered: &str) -> String {
    format!(
        r"<!doctype html><body><script>
function end(room) {{ room.innerHTML = '<b class=done>the end of ' + room.id + '</b>'; }}
async function enter(id) {{
    if (document.getElementById('room-' + id)) return;
    const room = document.body.appendChild(document.createElement('div'));
    room.id = 'room-' + id;
    const doing = await (await fetch('/doing/' + id)).text();
    setTimeout(() => new Function('room', doing)(room), 0);
}}
function leave(id) {{ document.getElementById('room-' + id)?.remove(); }}
if ('{entered}') enter('{entered}');
</script>"
    )
}
