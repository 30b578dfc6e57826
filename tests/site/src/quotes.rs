//! An ordinary multi-page site: quotes that are written line by line until they are finished.
//!
//! Every page is plain HTML, made by the server; a quote's page loads itself anew every second until the quote is
//! finished. The list shows the newest few, older ones are on further pages. What the site shows is changed by the
//! test through [`Quotes`], or goes on by itself with [`Quotes::go_on`].

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use tokio::{net::TcpListener, task::JoinSet};

/// Quotes on one page of the list.
pub const PAGE: usize = 10;

/// The site; it is served until this is dropped.
#[derive(Debug)]
pub struct Quotes {
    /// Where it is, without a slash at the end.
    pub url: String,
    state: Shared,
    tasks: JoinSet<()>,
}

type Shared = Arc<Mutex<Site>>;

#[derive(Debug, Default)]
struct Site {
    quotes: BTreeMap<u32, Quote>,
    visits: BTreeMap<String, u32>,
}

#[derive(Debug, Clone)]
struct Quote {
    lines: Vec<String>,
    shown: usize,
    state: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Removed,
    Broken,
    Moved,
}

impl Quote {
    fn is_finished(&self) -> bool {
        self.shown >= self.lines.len()
    }

    fn text(&self) -> String {
        self.lines[..self.shown].concat()
    }
}

impl Quotes {
    /// Serves the site, empty, on a free port of the loopback interface.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Shared::default();
        let app = router(Arc::clone(&state));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // Ends with the site; a client that hangs up is no error of it.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { url, state, tasks })
    }

    /// Publishes a quote of so many lines, of which none is shown yet; answers its id.
    #[expect(clippy::must_use_candidate, reason = "what is published is listed by the site, too")]
    pub fn publish(&self, lines: usize) -> u32 {
        let mut site = self.lock();
        let id = site.quotes.keys().last().map_or(1, |last| last + 1);
        site.quotes.insert(id, Quote { lines: write_quote(id, lines), shown: 0, state: Fate::Kept });
        id
    }

    /// Shows one line more.
    pub fn grow(&self, id: u32) {
        self.change(id, |quote| quote.shown = (quote.shown + 1).min(quote.lines.len()));
    }

    /// Shows all lines.
    pub fn finish(&self, id: u32) {
        self.change(id, |quote| quote.shown = quote.lines.len());
    }

    /// The site has it no more (404), and does not list it.
    pub fn remove(&self, id: u32) {
        self.change(id, |quote| quote.state = Fate::Removed);
    }

    /// Its page answers 500.
    pub fn fail(&self, id: u32) {
        self.change(id, |quote| quote.state = Fate::Broken);
    }

    /// Its page leads to another address, where it is.
    pub fn relocate(&self, id: u32) {
        self.change(id, |quote| quote.state = Fate::Moved);
    }

    /// What a scrape of the finished quote must have taken.
    #[must_use]
    pub fn artifact(&self, id: u32) -> Option<String> {
        self.lock().quotes.get(&id).map(|quote| quote.lines.concat())
    }

    /// Ids of all that was ever published, with what a scrape of each must have taken.
    #[must_use]
    pub fn published(&self) -> BTreeMap<u32, String> {
        self.lock().quotes.iter().map(|(id, quote)| (*id, quote.lines.concat())).collect()
    }

    /// How often a path was asked for.
    #[must_use]
    pub fn visits(&self, path: &str) -> u32 {
        self.lock().visits.get(path).copied().unwrap_or_default()
    }

    /// Lets the site go on by itself: every `beat` each quote grows by a line, and a new one of `lines` lines
    /// appears, until there are `total`.
    pub fn go_on(&mut self, beat: Duration, lines: usize, total: usize) {
        let site = Self { url: String::new(), state: Arc::clone(&self.state), tasks: JoinSet::new() };
        self.tasks.spawn(async move {
            let mut beats = tokio::time::interval(beat);
            loop {
                beats.tick().await;
                let all = site.published();
                for id in all.keys() {
                    site.grow(*id);
                }
                if all.len() < total {
                    site.publish(lines);
                }
            }
        });
    }

    fn change(&self, id: u32, change: impl FnOnce(&mut Quote)) {
        if let Some(quote) = self.lock().quotes.get_mut(&id) {
            change(quote);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Site> {
        lock(&self.state)
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, Site> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lines of a quote, different for each id, with characters that HTML escapes.
fn write_quote(id: u32, lines: usize) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(u64::from(id));
    let words = ["time", "<b>", "flies", "&", "an", "arrow", "\"fruit\"", "ö", "banana", "like"];
    let mut text: Vec<_> = (1..lines)
        .map(|n| {
            format!("{n}. {} {}\n", random.choice(words).unwrap_or("a"), random.choice(words).unwrap_or("b"))
        })
        .collect();
    text.push(format!("— author of {id}\n"));
    text
}

fn router(state: Shared) -> Router {
    Router::new()
        .route("/robots.txt", get(async || "User-agent: *\nDisallow: /private/\n"))
        .route("/quotes", get(list))
        .route("/quotes/{id}", get(quote))
        .route("/elsewhere/{id}", get(moved))
        .with_state(state)
}

async fn list(State(state): State<Shared>, Query(query): Query<BTreeMap<String, String>>) -> Html<String> {
    let mut site = lock(&state);
    *site.visits.entry("/quotes".to_owned()).or_default() += 1;
    let page: usize = query.get("page").and_then(|page| page.parse().ok()).unwrap_or(1).max(1);
    let listed: Vec<_> = site
        .quotes
        .iter()
        .rev()
        .filter(|(_, quote)| quote.state != Fate::Removed)
        .map(|(id, _)| *id)
        .collect();
    let entries = listed.iter().skip((page - 1) * PAGE).take(PAGE);
    let mut body = String::new();
    for id in entries {
        // Writing to a string does not fail.
        let _ = writeln!(body, "<li><a href=\"/quotes/{id}\">Quote {id}</a></li>");
    }
    let list = if body.is_empty() {
        "<p class=none>No quotes yet.</p>".to_owned()
    } else {
        format!("<ol>{body}</ol>")
    };
    let further = format!("<a class=further href=\"/quotes?page={}\">older</a>", page + 1);
    Html(document("Quotes", "", &format!("<h1>Quotes</h1>{list}{further}")))
}

async fn quote(State(state): State<Shared>, Path(id): Path<u32>) -> Response {
    let mut site = lock(&state);
    *site.visits.entry(format!("/quotes/{id}")).or_default() += 1;
    match site.quotes.get(&id) {
        Some(Quote { state: Fate::Broken, .. }) => {
            (StatusCode::INTERNAL_SERVER_ERROR, Html(document("Error", "", "<h1>Something went wrong</h1>")))
                .into_response()
        }
        Some(Quote { state: Fate::Moved, .. }) => {
            Redirect::temporary(&format!("/elsewhere/{id}")).into_response()
        }
        Some(quote) if quote.state == Fate::Kept => page(id, quote).into_response(),
        _ => {
            let body = format!("<h1>There is no quote {id}</h1>");
            (StatusCode::NOT_FOUND, Html(document("Not found", "", &body))).into_response()
        }
    }
}

async fn moved(State(state): State<Shared>, Path(id): Path<u32>) -> Response {
    match lock(&state).quotes.get(&id) {
        Some(quote) => page(id, quote).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn page(id: u32, quote: &Quote) -> Html<String> {
    let (class, again) = if quote.is_finished() {
        ("finished", "")
    } else {
        ("unfinished", "<meta http-equiv=refresh content=1>")
    };
    let text = quote.text();
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let body =
        format!("<article id=quote class={class}><h1>Quote {id}</h1><pre class=text>{text}</pre></article>");
    Html(document(&format!("Quote {id}"), again, &body))
}

fn document(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!doctype html><html><head><meta charset=utf-8><title>{title}</title>{head}</head><body>{body}</body></html>"
    )
}
