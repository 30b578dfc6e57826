//! What pages answer, as plain data.

use std::time::Duration;

use serde::Deserialize;

/// After a load.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ready {
    pub(super) url: String,
    /// HTTP status of the document; 0 when there was none.
    pub(super) status: u16,
    /// Whether it is ready.
    #[serde(rename = "ready")]
    pub(super) holds: bool,
    pub(super) refuses: Option<String>,
}

/// After an item was to be opened.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Open {
    pub(super) url: String,
    pub(super) status: u16,
    /// Whether it is open or has ended.
    #[serde(rename = "open")]
    pub(super) holds: bool,
    pub(super) root: bool,
    pub(super) gone: Option<String>,
    pub(super) refuses: Option<String>,
    pub(super) disconnected: Option<String>,
}

/// What was seen of one page and the items in it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Probe {
    pub(super) url: String,
    /// Whether the document is that of the last load.
    pub(super) marked: bool,
    pub(super) ready: bool,
    pub(super) unavailable: Option<String>,
    pub(super) disconnected: Option<String>,
    /// Whether the page may come back by itself.
    pub(super) reconnects: bool,
    /// How many signs there are; a new one is news.
    pub(super) throttled: f64,
    pub(super) items: Vec<Seen>,
}

/// What was seen of one item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    pub(super) root: bool,
    pub(super) open: bool,
    pub(super) done: bool,
    pub(super) gone: Option<String>,
    pub(super) progress: String,
    pub(super) error: Option<String>,
}

/// An artifact, or why there is none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Taken {
    pub(super) text: Option<String>,
    /// A `data:` URL.
    pub(super) data: Option<String>,
    /// One for each way.
    pub(super) failures: Vec<String>,
}

/// After an item was left.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Left {
    pub(super) left: bool,
}

/// The list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct List {
    pub(super) url: String,
    pub(super) status: u16,
    pub(super) broken: Option<String>,
    pub(super) refuses: Option<String>,
    pub(super) unanswered: bool,
    /// The attribute of each entry; none: nothing was there that the recipe knows.
    pub(super) items: Option<Vec<String>>,
    pub(super) throttled: f64,
}

/// Whether the recipe's scripts and selectors are such.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Checked {
    pub(super) wrong: Vec<Wrong>,
}

/// A script or selector that is none.
#[derive(Debug, Deserialize)]
pub(super) struct Wrong {
    pub(super) name: String,
    pub(super) why: String,
}

/// The time inside the page: a little less than that of the command, so that the page itself says what it missed.
pub(super) fn inside(left: Duration) -> u64 {
    let margin = Duration::from_secs(1).min(left / 4);
    u64::try_from(left.saturating_sub(margin).as_millis()).unwrap_or(u64::MAX)
}
