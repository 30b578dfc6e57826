//! Giving items up for good.
//!
//! To the ledger an item that is nowhere is a lost one. So before a letter is forgotten a record of it is put into the
//! store, whole, under a key of its own; `scrapefleet verify` goes on counting its item as dead. Whatever dies in between
//! leaves the letter, the record or both, never neither.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use scrapefleet_api::{FleetName, ItemId};
use scrapefleet_policy::{Clock as _, SystemClock};
use scrapefleet_queue::{DeadLetter, TaskQueue};
use scrapefleet_store::{ArtifactStore, Key, Metadata, Origin, Put};

use super::{chosen, name};
use crate::{
    CliError,
    args::{FleetArgs, Which},
    fleet::Fleet,
};

/// How many records are put at once.
const PUTS: usize = 8;

/// How many items are named when it is asked whether to purge them.
const NAMED: usize = 10;

pub(super) async fn purge(args: &FleetArgs, which: &Which, yes: bool) -> Result<(), CliError> {
    let fleet = Fleet::load(args)?;
    let opened = fleet.open_queue().await?;
    let queue = opened.shared();
    let letters = chosen(queue.dead_letters().await?, which)?;
    if letters.is_empty() {
        println!("no dead letters to purge");
    } else if yes || agreed(&letters)? {
        let store = fleet.open_store().await?;
        let purged =
            purge_from(&fleet.name, queue.as_ref(), store.as_ref(), &letters, SystemClock.now()).await?;
        println!("purged {purged} of {}; a record of each is in the store", letters.len());
        if purged < letters.len() {
            println!("the others were purged or replayed by somebody else meanwhile");
        }
    } else {
        println!("nothing was purged");
    }
    Ok(opened.close().await?)
}

/// Records and forgets these letters; how many there were of them.
pub(super) async fn purge_from(
    fleet: &FleetName,
    queue: &dyn TaskQueue,
    store: &dyn ArtifactStore,
    letters: &[DeadLetter],
    now: Timestamp,
) -> Result<usize, CliError> {
    let records: Vec<_> = letters.iter().map(|letter| Record::of(fleet, letter, now)).collect();
    let puts = stream::iter(records).map(|record| async move { record.put(store).await });
    puts.buffer_unordered(PUTS).try_for_each(async |_| Ok(())).await?;
    Ok(queue.purge(letters).await?)
}

/// What is kept of a letter.
struct Record {
    key: Key,
    bytes: Bytes,
    metadata: Metadata,
}

impl Record {
    fn of(fleet: &FleetName, letter: &DeadLetter, now: Timestamp) -> Self {
        let key = match &letter.item {
            Some(item) => Key::purged(fleet, item),
            None => Key::purged_unreadable(fleet, letter.raw.as_deref().unwrap_or_default()),
        };
        let record = serde_json::json!({ "item": letter.item, "purgedAt": now, "letter": letter });
        let bytes = Bytes::from(format!("{record:#}\n"));
        let task = letter.task.as_ref();
        let origin = Origin {
            fleet: fleet.clone(),
            item: letter.item.clone().unwrap_or_else(nobody),
            discovered_at: task.map_or(letter.failure.at, |task| task.discovered_at),
            scraped_at: now,
            attempt: task.map_or(1, |task| task.attempt),
        };
        let metadata = Metadata::of(&bytes, origin, "application/json");
        Self { key, bytes, metadata }
    }

    /// A record that is there already is as good: the item was purged before, or somebody died between the two steps.
    async fn put(self, store: &dyn ArtifactStore) -> Result<Put, CliError> {
        Ok(store.put_new(&self.key, self.bytes, &self.metadata).await?)
    }
}

/// Stands where every object names an item, for a letter that names none.
fn nobody() -> ItemId {
    #[expect(clippy::expect_used)] // cannot fail: it is a word
    ItemId::new("unreadable").expect("a word is an id")
}

/// Asks the person at the terminal; without one it is an error.
fn agreed(letters: &[DeadLetter]) -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        let count = letters.len();
        return Err(CliError::Usage(format!(
            "there is no terminal to ask at whether to purge {count} dead letters: say --yes"
        )));
    }
    let ask = || -> io::Result<bool> {
        let mut out = io::stdout().lock();
        for letter in letters.iter().take(NAMED) {
            writeln!(out, "  {} ({:?})", name(letter), letter.failure.reason)?;
        }
        if letters.len() > NAMED {
            writeln!(out, "  … and {} more", letters.len() - NAMED)?;
        }
        write!(out, "give {} up for good? [y/N] ", letters.len())?;
        out.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    };
    ask().map_err(|error| CliError::Usage(format!("the terminal does not answer: {error}; say --yes")))
}
