//! What a bot shows of itself on `/status`.

use jiff::Timestamp;
use scrapefleet_api::ItemId;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    bot::Bot,
    exit::BotExit,
    hold::{Hold, Stage},
};

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

impl HoldStatus {
    fn of(hold: &Hold, now: Instant) -> Self {
        Self {
            item: hold.item.id.clone(),
            url: hold.item.url.clone(),
            since: hold.since,
            step: hold.stage,
            attempt: hold.attempt,
            still_seconds: (now - hold.moved).as_secs(),
        }
    }
}

impl Bot {
    pub(crate) fn publish_status(&self) {
        let bot = self.config.slot.to_string();
        let held = i64::try_from(self.holds.len()).unwrap_or(i64::MAX);
        self.parts.metrics.held.with_label_values(&[&bot]).set(held);
        self.parts.status.send_replace(self.snapshot());
    }

    pub(crate) fn snapshot(&self) -> BotStatus {
        let now = Instant::now();
        let (state, last_reason) = self.shown_state(now);
        BotStatus {
            slot: self.config.slot,
            state,
            last_reason,
            holds: self.holds.values().map(|hold| HoldStatus::of(hold, now)).collect(),
            capacity: self.may_hold(),
            browser: self.browser_status(now),
            exit: None,
        }
    }

    fn browser_status(&self, now: Instant) -> BrowserStatus {
        let (browser, health) = (self.browser.as_ref(), &self.health);
        BrowserStatus {
            process_id: browser.and_then(|browser| browser.process_id()),
            answered_seconds_ago: browser.map(|_| (now - health.answered).as_secs_f64()),
            round_trip_ms: health.round_trip.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            abandoned: health.abandoned,
            memory_mib: health.memory.map(|bytes| bytes / (1024 * 1024)),
        }
    }

    /// A bot that goes about its work says so, unless the store takes nothing of it.
    fn shown_state(&self, now: Instant) -> (BotState, Option<String>) {
        let trouble = self.store_trouble.told(now);
        match (self.state, trouble) {
            (BotState::Working | BotState::Draining, Some(why)) => (BotState::StoreUnreachable, Some(why)),
            (state, _) => (state, self.last_reason.clone()),
        }
    }
}
