//! The post-mortem of a bot that does nothing any more, written by whoever ends it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use scrapefleet_api::FleetName;
use scrapefleet_store::{ArtifactStore, Key, StoreError};

use super::{
    PostMortems,
    report::{self, Report, Why},
    writing::Writing,
};
use crate::status::BotStatus;

/// A bot that does nothing any more.
#[derive(Debug, Clone)]
pub struct Standstill {
    /// Its fleet.
    pub fleet: FleetName,
    /// What it last showed of itself.
    pub bot: BotStatus,
    /// What stands still, in a word or two.
    pub what: String,
    /// For how long it has.
    pub still: Duration,
    /// The same in a sentence.
    pub why: String,
}

impl PostMortems {
    /// Writes down what is known of a bot that does nothing any more, and answers where; none: there are enough.
    ///
    /// It needs nothing that the bot may keep to itself but the numbers and the log. Nothing bounds how long that takes.
    pub async fn write_standstill(
        &self,
        still: Standstill,
        at: Timestamp,
        store: Arc<dyn ArtifactStore>,
    ) -> Result<Option<Key>, StoreError> {
        let Some(number) = self.number(still.bot.slot, at) else { return Ok(None) };
        let not_asked =
            || Some("the bot does nothing any more, and nobody else can ask its browser".to_owned());
        let report = Report {
            schema_version: report::SCHEMA_VERSION,
            fleet: still.fleet.clone(),
            host: self.host.clone(),
            at,
            last: true,
            why: Why::from(&still),
            bot: still.bot,
            processes: None,
            no_processes: not_asked(),
            screenshot: None,
            no_screenshot: not_asked(),
            log: self.recent.lines().iter().map(ToString::to_string).collect(),
        };
        let writing = Writing { store, all: self.clone(), report, screenshot: None };
        writing.write(number).await
    }
}
