//! The real Showdown server with real random players, and a page in front of it that shows what the real client shows.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use scrapefleet_test_site::{Client, ShowdownSite};
//!
//! let site = ShowdownSite::builder().players(12).client(Client::New).start().await?;
//! println!("scrape {}", site.url());
//! site.stop_players().await?;
//! let truth = site.battles_logged().await?;
//! site.stop().await?;
//! # Ok(())
//! # }
//! ```

mod builder;
mod control;
mod process;
mod truth;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

pub use builder::Builder;
pub use truth::GroundTruth;

use process::SiteProcess;

/// How long one control call may take; starting the server is the slowest.
const CONTROL_WITHIN: Duration = Duration::from_secs(90);
/// How long the last battles may take to end when players hurry: the longest seen is 1,000 turns of two choices.
const DRAIN_WITHIN: Duration = Duration::from_mins(3);

/// Generation of the client page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// `window.app`: never reconnects by itself.
    Old,
    /// `window.PS`: reconnects by itself.
    New,
}

/// What can be wrong with the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Connections are taken and never answered.
    Dead,
    /// Every page answers 503.
    Unavailable,
    /// Pages are there and show nothing.
    Empty,
    /// The client asks for a login before anything else.
    LoginWall,
    /// The server sends visitors away: "PS is under heavy load".
    Overload,
    /// The websocket stays open and nothing comes through it any more.
    Stale,
    /// Pages are there; no websocket gets through.
    Offline,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Dead => "dead",
            Self::Unavailable => "unavailable",
            Self::Empty => "empty",
            Self::LoginWall => "wall",
            Self::Overload => "overload",
            Self::Stale => "stale",
            Self::Offline => "offline",
        }
    }
}

/// How many players do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct PlayerCounts {
    /// Not connected.
    pub offline: u32,
    /// Connected, between battles.
    pub idle: u32,
    /// Searching for a battle.
    pub searching: u32,
    /// In a battle.
    pub playing: u32,
}

/// What there is and what was counted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// Replays published since the start. A scraper never does that: it must stay 0.
    pub uploads: u32,
    /// Pages loaded since the start.
    pub loads: u32,
    /// Websockets open now through the site's pages; players are not among them.
    pub connections: u32,
    /// What the players do.
    pub players: PlayerCounts,
    /// Process ids: the site, and the Showdown server while it runs.
    pub processes: Vec<u32>,
    /// How often the server was started.
    pub starts: u32,
}

/// Every rated battle that a site logged as ended which somebody else runs, such as one in a cluster; `port` of the loopback
/// address leads to its control endpoints.
pub async fn battles_logged_at(port: u16) -> Result<Vec<GroundTruth>> {
    let battles = control::ask(port, "GET", "battles", &Value::Null, CONTROL_WITHIN).await;
    Ok(serde_json::from_value(battles.context("the site does not tell what it logged")?)?)
}

/// A site that runs. Dropping it kills everything it started, and so does the death of the process that holds it.
#[derive(Debug)]
pub struct ShowdownSite {
    process: SiteProcess,
}

impl ShowdownSite {
    /// A site with 12 pairs of players, one choice in 1.2 s, no throttle, the older client.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Root of the pages, as in `http://127.0.0.1:4000`. It stays the same whatever happens to the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.process.ready.port)
    }

    /// The websocket of the server itself, past the pages and their faults.
    #[must_use]
    pub fn websocket_url(&self) -> String {
        format!("ws://127.0.0.1:{}/showdown/websocket", self.process.ready.server_port)
    }

    /// The folder of this run: `site.log`, `server.log` and the server's own files. It goes with the site.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.process.folder()
    }

    /// Every rated battle that the server logged as ended, private ones too. An entry is there as soon as the ladder
    /// is updated, a moment after the battle's end.
    pub async fn battles_logged(&self) -> Result<Vec<GroundTruth>> {
        Ok(serde_json::from_value(self.get("battles").await?)?)
    }

    /// What there is and what was counted.
    pub async fn status(&self) -> Result<Status> {
        Ok(serde_json::from_value(self.get("status").await?)?)
    }

    /// What the players do.
    pub async fn player_counts(&self) -> Result<PlayerCounts> {
        Ok(self.status().await?.players)
    }

    /// Replays published; see [`Status::uploads`].
    pub async fn uploads(&self) -> Result<u32> {
        Ok(self.status().await?.uploads)
    }

    /// Process ids of the site and of the Showdown server, for tests that look at them.
    pub async fn process_ids(&self) -> Result<Vec<u32>> {
        Ok(self.status().await?.processes)
    }

    /// Makes something go wrong, or all well again with [`Fault::None`].
    pub async fn set_fault(&self, fault: Fault) -> Result<()> {
        self.post("fault", &json!({ "fault": fault.name() }), CONTROL_WITHIN).await
    }

    /// Cuts every websocket that goes through the pages, once; new ones get through.
    pub async fn cut_connections(&self) -> Result<()> {
        self.post("cut", &json!({}), CONTROL_WITHIN).await
    }

    /// Lets the battles that go on come to their end, fast, and starts none. Returns when every player is idle.
    pub async fn stop_players(&self) -> Result<()> {
        self.post("players/stop", &json!({ "hurry": true }), DRAIN_WITHIN).await
    }

    /// Starts no battle any more but lets those that go on take their time. Returns when every player is idle, within `limit`.
    pub async fn finish_players(&self, limit: Duration) -> Result<()> {
        self.post("players/stop", &json!({ "hurry": false }), limit).await
    }

    /// Players that were stopped search again.
    pub async fn resume_players(&self) -> Result<()> {
        self.post("players/resume", &json!({}), CONTROL_WITHIN).await
    }

    /// Has a player make a battle private that goes on: it leaves the list, spectators are put out, its id changes.
    pub async fn hide_battle(&self, id: &str) -> Result<()> {
        self.post("players/hide", &json!({ "id": id }), CONTROL_WITHIN).await
    }

    /// Kills the Showdown server as a crash would; battles that go on are lost. The pages stay.
    pub async fn stop_server(&self) -> Result<()> {
        self.post("server/stop", &json!({}), CONTROL_WITHIN).await
    }

    /// Starts the server again, on its port and with its files; players come back by themselves.
    pub async fn start_server(&self) -> Result<()> {
        self.post("server/start", &json!({}), CONTROL_WITHIN).await
    }

    /// Kills the server and starts it again.
    pub async fn restart_server(&self) -> Result<()> {
        self.post("server/restart", &json!({}), CONTROL_WITHIN).await
    }

    /// Ends everything and waits until it is gone. Dropping does the same without waiting.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }

    async fn get(&self, what: &str) -> Result<Value> {
        self.ask("GET", what, &Value::Null, CONTROL_WITHIN).await
    }

    async fn post(&self, what: &str, body: &Value, limit: Duration) -> Result<()> {
        self.ask("POST", what, body, limit).await.map(drop)
    }

    async fn ask(&self, method: &str, what: &str, body: &Value, limit: Duration) -> Result<Value> {
        let port = self.process.ready.control_port;
        control::ask(port, method, what, body, limit).await.with_context(|| {
            format!("the test site did not do `{what}` (its logs: {})", self.folder().display())
        })
    }
}
