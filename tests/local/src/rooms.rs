//! A small single-page site whose rooms do what a test says: last, end, lead their page away, or bring it down.

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
    /// Waits until it is to do something else.
    Waits,
    /// Leads the page elsewhere, and the next time waits.
    LeadsAwayOnce,
    /// Runs an endless loop, and the next time waits.
    LoopsOnce,
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
    site: Shared,
    #[expect(dead_code, reason = "it serves for as long as it is there")]
    tasks: JoinSet<()>,
}

type Shared = Arc<Mutex<Site>>;

#[derive(Debug, Default)]
struct Site {
    rooms: BTreeMap<String, Room>,
    entered: BTreeMap<String, usize>,
}

impl Rooms {
    /// Serves the site on a free loopback port.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let site = Shared::default();
        let app = Router::new()
            .route("/list", get(async |State(site): State<Shared>| Html(lock(&site).list())))
            .route("/app", get(async || Html(page(""))))
            .route("/room/{id}", get(async |Path(id): Path<String>| Html(page(&id))))
            .route(
                "/enter/{id}",
                get(async |State(site): State<Shared>, Path(id): Path<String>| lock(&site).enter(id)),
            )
            .route(
                "/doing/{id}",
                get(async |State(site): State<Shared>, Path(id): Path<String>| lock(&site).doing(&id)),
            )
            .with_state(site.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // It ends with the test; a site that fails shows in every wait of the test.
            drop(axum::serve(listener, app).await);
        });
        Ok(Self { url, site, tasks })
    }

    /// Adds a room, or has one that waits do something else.
    pub fn add(&self, id: &str, room: Room) {
        lock(&self.site).rooms.insert(id.to_owned(), room);
    }

    /// The same for several.
    pub fn add_all(&self, ids: &[&str], room: Room) {
        for id in ids {
            self.add(id, room);
        }
    }

    /// How often a room was entered.
    #[must_use]
    pub fn entered(&self, id: &str) -> usize {
        lock(&self.site).entered.get(id).copied().unwrap_or_default()
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

fn lock(site: &Shared) -> MutexGuard<'_, Site> {
    site.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    fn list(&self) -> String {
        if self.rooms.is_empty() {
            return "<p>no rooms".to_owned();
        }
        let links: Vec<_> = self.rooms.keys().map(|id| format!("<a href=/room/{id}>{id}</a>")).collect();
        links.join(" ")
    }

    fn enter(&mut self, id: String) -> String {
        let doing = self.doing(&id);
        *self.entered.entry(id).or_default() += 1;
        doing
    }

    /// What a room does, as a script that is run in it.
    fn doing(&mut self, id: &str) -> String {
        let Some(room) = self.rooms.get_mut(id) else { return "leave(room.id)".to_owned() };
        let doing = room.script();
        if matches!(room, Room::LeadsAwayOnce | Room::LoopsOnce) {
            *room = Room::Waits;
        }
        doing
    }
}

impl Room {
    fn script(self) -> String {
        match self {
            Self::Lasts(ms) => return format!("setTimeout(() => end(room), {ms})"),
            Self::Waits => "setTimeout(() => { if (room.isConnected) act(room, '/doing/'); }, 200)",
            Self::LeadsAwayOnce => "location.href = '/list'",
            Self::LoopsOnce | Self::Loops => "for (;;) {}",
            Self::Crashes => "const a = []; for (;;) a.push(new Array(1e6).fill(1.5))",
        }
        .to_owned()
    }
}

/// A page that can enter rooms, and enters `entered` at once.
fn page(entered: &str) -> String {
    format!(
        r"<!doctype html><body><script>
function end(room) {{ room.innerHTML = '<b class=done>the end of ' + room.id + '</b>'; }}
async function act(room, asked) {{
    const doing = await (await fetch(asked + room.id.replace('room-', ''))).text();
    setTimeout(() => new Function('room', doing)(room), 0);
}}
async function enter(id) {{
    if (document.getElementById('room-' + id)) return;
    const room = document.body.appendChild(document.createElement('div'));
    room.id = 'room-' + id;
    await act(room, '/enter/');
}}
function leave(id) {{ document.getElementById('room-' + id)?.remove(); }}
if ('{entered}') enter('{entered}');
</script>"
    )
}
