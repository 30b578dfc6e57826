//! What a post-mortem says.

use jiff::Timestamp;
use scrapefleet_api::FleetName;
use scrapefleet_browser::{StepError, process_tree::Seen};
use scrapefleet_store::Key;
use scrapefleet_telemetry::escape;
use serde::Serialize;

use super::Standstill;
use crate::status::BotStatus;

/// The version of this format.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// What was left of one browser. Texts from pages in it are bounded and escaped; nothing in it is more secret than a bot's
/// log and its `/status`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// The version of this format.
    pub(super) schema_version: u32,
    /// The fleet.
    pub(super) fleet: FleetName,
    /// The pod or machine.
    pub(super) host: Option<String>,
    /// When.
    pub(super) at: Timestamp,
    /// Whether the bot ended with it, because its browsers died too often or cannot be started.
    pub(super) last: bool,
    /// Why it was thrown away.
    pub(super) why: Why,
    /// The bot at that moment: what it held, what its browser was like, how many it had thrown away before, and what had gone
    /// wrong before this.
    pub(super) bot: BotStatus,
    /// The browser's processes.
    pub(super) processes: Option<Vec<ProcessLine>>,
    /// Why there are none to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) no_processes: Option<String>,
    /// Where the screenshot is, if it could be stored.
    pub(super) screenshot: Option<Key>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) no_screenshot: Option<String>,
    /// The log's newest lines, oldest first.
    pub(super) log: Vec<String>,
}

/// Why a browser was thrown away.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Why {
    /// The class of what went wrong.
    fault: String,
    /// The step that failed.
    step: String,
    /// What was looked for.
    selector: Option<String>,
    /// The page.
    url: String,
    /// How long the step took, in seconds.
    seconds: f64,
    /// The last thing the browser said.
    message: String,
}

impl From<&StepError> for Why {
    fn from(error: &StepError) -> Self {
        Self {
            fault: format!("{:?}", error.fault),
            step: format!("{:?}", error.step),
            selector: error.selector.clone(),
            url: error.url.clone(),
            seconds: error.elapsed.as_secs_f64(),
            message: error.message.clone(),
        }
    }
}

impl From<&Standstill> for Why {
    fn from(still: &Standstill) -> Self {
        Self {
            fault: "NoProgress".to_owned(),
            step: still.what.clone(),
            selector: None,
            url: String::new(),
            seconds: still.still.as_secs_f64(),
            message: still.why.clone(),
        }
    }
}

/// One process of a browser.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProcessLine {
    pid: i32,
    parent: i32,
    name: String,
    /// A letter of proc(5): `R` runs, `S` sleeps, `T` is stopped, `Z` is dead.
    state: char,
    /// PSS in bytes.
    memory: Option<u64>,
}

impl From<Seen> for ProcessLine {
    fn from(seen: Seen) -> Self {
        let name = escape(&seen.name).into_owned();
        Self { pid: seen.pid, parent: seen.parent, name, state: seen.state, memory: seen.memory }
    }
}
