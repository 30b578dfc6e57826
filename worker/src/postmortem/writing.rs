//! Writing a post-mortem, beside the bot's loop.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use prometheus::IntCounterVec;
use scrapefleet_api::{FleetName, ItemId};
use scrapefleet_policy::within;
use scrapefleet_store::{ArtifactStore, Key, Metadata, Origin, Put, StoreError};
use tokio::sync::OwnedSemaphorePermit;

use super::{MOST_PER_HOUR, PostMortems, report::Report};

/// How long writing one may take in all. There is no second try: the next post-mortem may be worth more.
const WRITE: Duration = Duration::from_secs(30);

/// A post-mortem on its way into the store.
pub(super) struct Writing {
    pub(super) store: Arc<dyn ArtifactStore>,
    pub(super) all: PostMortems,
    pub(super) report: Report,
    pub(super) screenshot: Option<Bytes>,
}

impl Writing {
    /// Writes it under the first free number from `number` on, and counts what came of that in `outcomes`. The permit is
    /// given back when it is done.
    pub(super) async fn carry_out(self, number: u32, permit: OwnedSemaphorePermit, outcomes: IntCounterVec) {
        let slot = self.report.bot.slot;
        let outcome = match within(WRITE, "write a post-mortem", self.write(number)).await {
            Ok(Ok(Some(key))) => {
                tracing::info!(slot, %key, "what was left of the browser is written down");
                "written"
            }
            Ok(Ok(None)) => "limited",
            Ok(Err(error)) => {
                tracing::warn!(slot, %error, "a post-mortem could not be stored");
                "failed"
            }
            Err(expired) => {
                tracing::warn!(slot, %expired, "a post-mortem could not be stored");
                "failed"
            }
        };
        outcomes.with_label_values(&[outcome]).inc();
        drop(permit);
    }

    /// The numbers of an hour are the bound, and they are in the keys: so it holds for all the pods that a bot has been,
    /// one after the other, whatever each remembers.
    pub(super) async fn write(mut self, number: u32) -> Result<Option<Key>, StoreError> {
        let (slot, at) = (self.report.bot.slot, self.report.at);
        for nth in number..MOST_PER_HOUR {
            let key = Key::post_mortem(&self.report.fleet, slot, at, nth, "json");
            if self.store.exists(&key).await? {
                continue;
            }
            let picture = Key::post_mortem(&self.report.fleet, slot, at, nth, "png");
            self.report.screenshot = self.screenshot.as_ref().map(|_| picture.clone());
            let body = Bytes::from(format!("{:#}\n", serde_json::json!(self.report)));
            if self.put(&key, body, "application/json").await? == Put::AlreadyStored {
                continue;
            }
            self.all.taken(slot, at, nth + 1);
            if let Some(screenshot) = self.screenshot.clone() {
                self.put(&picture, screenshot, "image/png").await?;
            }
            return Ok(Some(key));
        }
        self.all.taken(slot, at, MOST_PER_HOUR);
        Ok(None)
    }

    async fn put(&self, key: &Key, bytes: Bytes, content_type: &str) -> Result<Put, StoreError> {
        let origin = origin(&self.report.fleet, self.report.bot.slot, self.report.at);
        let metadata = Metadata::of(&bytes, origin, content_type);
        self.store.put_new(key, bytes, &metadata).await
    }
}

/// Whose it is, in the words that every object has: a bot instead of an item.
fn origin(fleet: &FleetName, slot: u32, at: Timestamp) -> Origin {
    #[expect(clippy::expect_used)] // cannot fail: letters, a dash and digits
    let item = ItemId::new(format!("bot-{slot}")).expect("a bot's number makes an id");
    Origin { fleet: fleet.clone(), item, discovered_at: at, scraped_at: at, attempt: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bot_makes_an_id() {
        for slot in [0, 7, u32::MAX] {
            let origin = origin(&FleetName::new("f").unwrap(), slot, Timestamp::UNIX_EPOCH);
            assert_eq!(origin.item.as_str(), format!("bot-{slot}"));
        }
    }
}
