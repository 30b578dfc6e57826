//! What a bot shows of itself on `/status`.

use jiff::Timestamp;
use scrapefleet_api::ItemId;
use serde::Serialize;

use crate::{exit::BotExit, hold::Stage};

/// What a bot is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum BotState {
    /// Starting its browser.
    Starting,
    /// Taking and holding items.
    Working,
    /// Throwing its browser away and starting another.
    Rebuilding,
    /// Not opening items, because the site, not the bot, is at fault.
    SiteUnavailable,
    /// Holding on: the store takes nothing of what has ended.
    StoreUnreachable,
    /// Taking no more items.
    Draining,
    /// Ended.
    Ended,
}

/// One bot.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BotStatus {
    /// Its number.
    pub slot: u32,
    /// What it is doing.
    pub state: BotState,
    /// Why, where that needs saying: the last thing that went wrong.
    pub last_reason: Option<String>,
    /// The items it holds.
    pub holds: Vec<HoldStatus>,
    /// The most items it may hold.
    pub capacity: usize,
    /// Its browser.
    pub browser: BrowserStatus,
    /// How it ended, once it has.
    pub exit: Option<BotExit>,
}

/// One held item.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldStatus {
    /// Its id.
    pub item: ItemId,
    /// Where it is.
    pub url: String,
    /// Since when its task is held.
    pub since: Timestamp,
    /// Where it is on its way.
    pub step: Stage,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Seconds since the item last moved.
    pub still_seconds: u64,
}

/// A bot's browser.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BrowserStatus {
    /// Process id of its root process, when it was started from here.
    pub process_id: Option<u32>,
    /// Seconds since it last answered.
    pub answered_seconds_ago: Option<f64>,
    /// How long the last round trip took, in milliseconds.
    pub round_trip_ms: Option<u64>,
    /// Browsers this bot has thrown away.
    pub abandoned: u64,
    /// PSS of the whole process tree in MiB, when it can be seen from here.
    pub memory_mib: Option<u64>,
}

impl BotStatus {
    /// A bot that has done nothing yet.
    #[must_use]
    pub fn starting(slot: u32, capacity: usize) -> Self {
        Self {
            slot,
            state: BotState::Starting,
            last_reason: None,
            holds: Vec::new(),
            capacity,
            browser: BrowserStatus::default(),
            exit: None,
        }
    }
}
