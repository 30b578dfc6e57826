//! What a bot that its watchdog ends leaves behind in the store.

use jiff::Timestamp;
use scrapefleet_policy::{Clock as _, SystemClock};
use scrapefleet_store::Key;
use scrapefleet_worker::{BotStatus, PostMortems, Standstill};
use tokio::{runtime, sync::watch};

use super::watchdog::Stuck;
use crate::{CliError, fleet::Fleet};

/// What a bot that its watchdog ends leaves behind.
///
/// The runtime of the process may be just what stands still, and with it every connection that was made in it: this has a
/// runtime of its own, and its own way to the store.
pub(super) struct Testament {
    /// The bot's fleet.
    pub(super) fleet: Fleet,
    /// What the bot shows of itself.
    pub(super) shown: watch::Receiver<BotStatus>,
    /// Knows the log, and how much was left already.
    pub(super) post_mortems: PostMortems,
}

impl Testament {
    /// Leaves it. Nothing bounds how long that takes: the process ends meanwhile.
    pub(super) fn leave(self, stuck: &Stuck) {
        match self.write(stuck, SystemClock.now()) {
            Ok(Some(key)) => tracing::info!(%key, "what was left of the bot is written down"),
            Ok(None) => tracing::info!("of this bot enough was written down within the hour"),
            Err(why) => tracing::warn!(why, "a post-mortem could not be stored"),
        }
    }

    fn write(self, stuck: &Stuck, at: Timestamp) -> Result<Option<Key>, String> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        let still = Standstill {
            fleet: self.fleet.name.clone(),
            bot: self.shown.borrow().clone(),
            what: stuck.what.to_owned(),
            still: stuck.still,
            why: stuck.to_string(),
        };
        let written = runtime.block_on(async {
            let store = self.fleet.open_store().await?;
            Ok::<_, CliError>(self.post_mortems.write_standstill(still, at, store).await?)
        });
        written.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use bytes::Bytes;
    use serde_json::Value;

    use super::*;
    use crate::args::FleetArgs;

    const MANIFEST: &str = "{ apiVersion: scrapefleet.io/v1alpha1, kind: ScrapeFleet, metadata: { name: a }, \
        spec: { site: { preset: showdown }, queue: { embedded: {} }, store: { directory: {} } } }";

    fn fleet(folder: &Path) -> Fleet {
        let file = folder.join("fleet.yaml");
        std::fs::write(&file, MANIFEST).unwrap();
        let args = FleetArgs {
            file,
            set: Vec::new(),
            data: folder.to_owned(),
            namespace: None,
            queue_credentials: None,
            store_credentials: None,
        };
        Fleet::load(&args).unwrap()
    }

    /// What is in the store of a fleet.
    fn stored(fleet: &Fleet, key: &Key) -> Bytes {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let read = async { fleet.read_store().await.unwrap().get(key).await.unwrap().unwrap().bytes };
        runtime.block_on(read)
    }

    /// Every thread of the bot's runtime waits for ever when it is written.
    #[test]
    fn a_bot_whose_runtime_stands_still_leaves_what_it_last_showed() {
        let folder = tempfile::tempdir().unwrap();
        let stands_still = runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (never, waits) = std::sync::mpsc::channel::<()>();
        stands_still.spawn(async move { _ = waits.recv() });
        let (status, shown) = watch::channel(BotStatus::starting(7, 20));
        status.send_modify(|status| status.last_reason = Some("a trouble before".to_owned()));
        let fleet = fleet(folder.path());
        let testament = Testament { fleet: fleet.clone(), shown, post_mortems: PostMortems::default() };
        let stuck =
            Stuck { what: "the runtime", still: Duration::from_secs(4), within: Duration::from_secs(3) };
        let key = testament.write(&stuck, Timestamp::UNIX_EPOCH).unwrap().unwrap();
        assert!(key.as_str().starts_with("_post-mortems/a/1970-01-01/"), "{key}");
        let found: Value = serde_json::from_slice(&stored(&fleet, &key)).unwrap();
        assert_eq!((&found["why"]["fault"], &found["bot"]["slot"]), (&"NoProgress".into(), &7.into()));
        assert_eq!(found["bot"]["lastReason"], "a trouble before");
        assert!(found["why"]["message"].as_str().unwrap().contains("nothing has moved for 4.0s"), "{found}");
        drop(never);
    }
}
