//! `scrapefleet post-mortems`: what was left of browsers that bots threw away.
//!
//! They are read as they come, whichever version wrote them: what is not there is shown as `-`.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use scrapefleet_api::FleetName;
use scrapefleet_store::{ArtifactStore, Key};
use serde_json::Value;

use crate::{
    CliError,
    args::{FleetArgs, PostMortemsCommand},
    fleet::Fleet,
    terminal::{printable, table},
};

/// How many are read at once.
const READS: usize = 8;

/// The most lines of a log that are shown, and the most characters of each.
const LOG: (usize, usize) = (1_000, 2_000);

/// Does what was asked about post-mortems.
pub async fn post_mortems(command: PostMortemsCommand) -> Result<(), CliError> {
    match command {
        PostMortemsCommand::List { fleet, last, json } => list(&fleet, last, json).await,
        PostMortemsCommand::Show { fleet, name, json } => show(&fleet, &name, json).await,
    }
}

async fn list(args: &FleetArgs, last: usize, json: bool) -> Result<(), CliError> {
    let fleet = Fleet::load(args)?;
    let found = newest(&fleet.name, fleet.read_store().await?.as_ref(), last).await?;
    if json {
        let all: Vec<&Value> = found.iter().map(|(_, found)| found).collect();
        println!("{}", serde_json::json!(all));
    } else if found.is_empty() {
        println!("no post-mortems");
    } else {
        println!("{}", table(&rows(&fleet.name, &found)));
    }
    Ok(())
}

/// The newest `last` of a fleet, oldest first; what cannot be read says so instead.
async fn newest(
    fleet: &FleetName,
    store: &dyn ArtifactStore,
    last: usize,
) -> Result<Vec<(Key, Value)>, CliError> {
    let keys: Vec<Key> = store.list(&Key::post_mortems(fleet)).await?.try_collect().await?;
    // Beside them are screenshots.
    let is_report = |key: &Key| key.as_str().rsplit('.').next() == Some("json");
    let mut keys: Vec<Key> = keys.into_iter().filter(is_report).collect();
    keys.sort_unstable();
    let newest = keys.split_off(keys.len().saturating_sub(last));
    let reads = newest.into_iter().map(|key| async move { (read(store, &key).await, key) });
    let read: Vec<_> = stream::iter(reads).buffered(READS).collect().await;
    let said = |(found, key): (Result<Value, CliError>, Key)| match found {
        Ok(found) => (key, found),
        Err(error) => (key, serde_json::json!({ "unreadable": error.to_string() })),
    };
    let mut found: Vec<_> = read.into_iter().map(said).collect();
    found.sort_by_key(|(_, found)| text(found, "/at").to_owned());
    Ok(found)
}

async fn read(store: &dyn ArtifactStore, key: &Key) -> Result<Value, CliError> {
    let object = store.get(key).await?;
    let object = object.ok_or_else(|| CliError::Usage(format!("there is no object {key} in the store")))?;
    serde_json::from_slice(&object.bytes)
        .map_err(|error| CliError::Usage(format!("the object {key} is no post-mortem: {error}")))
}

fn rows(fleet: &FleetName, found: &[(Key, Value)]) -> Vec<Vec<String>> {
    let head = ["WHEN", "BOT", "FAULT", "HELD", "MESSAGE", "NAME"].map(str::to_owned).to_vec();
    let row = |(key, found): &(Key, Value)| {
        let name = key.as_str().strip_prefix(&Key::post_mortems(fleet)).unwrap_or(key.as_str());
        let items = found.pointer("/bot/holds").and_then(Value::as_array).map_or(0, Vec::len);
        let message = found.get("unreadable").and_then(Value::as_str).unwrap_or(text(found, "/why/message"));
        vec![
            printable(text(found, "/at").get(..19).unwrap_or("-"), 19),
            number(found, "/bot/slot"),
            printable(text(found, "/why/fault"), 20),
            items.to_string(),
            printable(message, 80),
            name.to_owned(),
        ]
    };
    std::iter::once(head).chain(found.iter().map(row)).collect()
}

async fn show(args: &FleetArgs, name: &str, json: bool) -> Result<(), CliError> {
    let fleet = Fleet::load(args)?;
    let key = key_of(&fleet.name, name)?;
    let found = read(fleet.read_store().await?.as_ref(), &key).await?;
    if json {
        println!("{found:#}");
        return Ok(());
    }
    println!("{}", table(&facts(&fleet, &found)));
    for part in [holds(&found), processes(&found)].into_iter().filter(|part| part.len() > 1) {
        println!("\n{}", table(&part));
    }
    println!();
    let log = found.get("log").and_then(Value::as_array);
    for line in log.into_iter().flatten().filter_map(Value::as_str).take(LOG.0) {
        println!("{}", printable(line, LOG.1));
    }
    Ok(())
}

/// The key of what `list` shows under `name`, or of what `name` is the key of.
fn key_of(fleet: &FleetName, name: &str) -> Result<Key, CliError> {
    let all = Key::post_mortems(fleet);
    let key = if name.starts_with(&all) { name.to_owned() } else { format!("{all}{name}") };
    Key::new(key).map_err(|error| CliError::Usage(error.to_string()))
}

fn facts(fleet: &Fleet, found: &Value) -> Vec<Vec<String>> {
    let shown = |path: &str| printable(text(found, path), 2_000);
    let picture = match found.pointer("/screenshot").and_then(Value::as_str) {
        Some(key) => fleet.place_of(&printable(key, 1_000)),
        None => format!("none: {}", shown("/noScreenshot")),
    };
    let ended = found.get("last").and_then(Value::as_bool).unwrap_or(false);
    let mut facts = vec![
        ("when", shown("/at")),
        ("bot", format!("{} on {}", number(found, "/bot/slot"), shown("/host"))),
        (
            "fault",
            format!(
                "{} in {} after {} s",
                shown("/why/fault"),
                shown("/why/step"),
                number(found, "/why/seconds")
            ),
        ),
        ("message", shown("/why/message")),
        ("page", shown("/why/url")),
        ("before", shown("/bot/lastReason")),
        ("browsers before", number(found, "/bot/browser/abandoned")),
        ("memory, MiB", number(found, "/bot/browser/memoryMib")),
        ("screenshot", picture),
        ("the bot", (if ended { "ended with it" } else { "went on" }).to_owned()),
    ];
    if let Some(why) = found.get("noProcesses").and_then(Value::as_str) {
        facts.push(("processes", format!("unknown: {}", printable(why, 500))));
    }
    facts.into_iter().map(|(name, fact)| vec![name.to_owned(), fact]).collect()
}

fn holds(found: &Value) -> Vec<Vec<String>> {
    let columns = [
        ("HELD", "/item"),
        ("STEP", "/step"),
        ("SINCE", "/since"),
        ("ATTEMPT", "/attempt"),
        ("STILL, S", "/stillSeconds"),
    ];
    part(found, "/bot/holds", &columns)
}

fn processes(found: &Value) -> Vec<Vec<String>> {
    let columns = [
        ("PROCESS", "/pid"),
        ("PARENT", "/parent"),
        ("NAME", "/name"),
        ("STATE", "/state"),
        ("BYTES", "/memory"),
    ];
    part(found, "/processes", &columns)
}

/// A list of objects as rows below their heads.
fn part(found: &Value, path: &str, columns: &[(&str, &str)]) -> Vec<Vec<String>> {
    let head = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let entries = found.pointer(path).and_then(Value::as_array).into_iter().flatten();
    let row = |entry: &Value| columns.iter().map(|(_, path)| number(entry, path)).collect();
    std::iter::once(head).chain(entries.map(row)).collect()
}

fn text<'v>(found: &'v Value, path: &str) -> &'v str {
    found.pointer(path).and_then(Value::as_str).unwrap_or("-")
}

/// A number, or a text, as it is.
fn number(found: &Value, path: &str) -> String {
    match found.pointer(path) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => printable(text, 300),
        Some(other) => printable(&other.to_string(), 300),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;
    use scrapefleet_api::ItemId;
    use scrapefleet_store::{MemoryStore, Metadata, Origin};
    use serde_json::json;

    use super::*;

    fn fleet() -> FleetName {
        FleetName::new("fleet").unwrap()
    }

    async fn put(store: &MemoryStore, key: &Key, text: String) {
        let (bytes, at) = (Bytes::from(text), Timestamp::UNIX_EPOCH);
        let item = ItemId::new("bot-0").unwrap();
        let origin = Origin { fleet: fleet(), item, discovered_at: at, scraped_at: at, attempt: 1 };
        let metadata = Metadata::of(&bytes, origin, "application/json");
        store.put_new(key, bytes, &metadata).await.unwrap();
    }

    #[tokio::test]
    async fn the_newest_are_listed_and_what_cannot_be_read_says_so() {
        let store = MemoryStore::default();
        for (nth, hour) in (0..5).zip(10..) {
            let at: Timestamp = format!("2026-11-21T{hour}:30:00Z").parse().unwrap();
            let found = json!({
                "at": at, "bot": { "slot": 3, "holds": [{ "item": "a" }] },
                "why": { "fault": "Timeout", "message": "no\u{1b}[2J answer" },
            });
            put(&store, &Key::post_mortem(&fleet(), 3, at, nth, "json"), found.to_string()).await;
            put(&store, &Key::post_mortem(&fleet(), 3, at, nth, "png"), "no JSON".to_owned()).await;
        }
        let late: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        put(&store, &Key::post_mortem(&fleet(), 3, late, 0, "json"), "{".to_owned()).await;
        let found = newest(&fleet(), &store, 3).await.unwrap();
        let rows = rows(&fleet(), &found);
        assert_eq!(rows.len(), 4, "{rows:?}");
        let broken = rows.iter().find(|row| row[4].contains("is no post-mortem")).unwrap();
        assert_eq!(broken[5], "2026-11-22/00h-3-00.json");
        let good = rows.last().unwrap();
        let expected =
            ["2026-11-21T14:30:00", "3", "Timeout", "1", "no\u{fffd}[2J answer", "2026-11-21/14h-3-04.json"];
        assert_eq!(*good, expected);
    }

    #[test]
    fn a_name_is_as_good_as_a_key() {
        let key = "_post-mortems/fleet/2026-11-21/14h-3-04.json";
        for name in ["2026-11-21/14h-3-04.json", key] {
            assert_eq!(key_of(&fleet(), name).unwrap().as_str(), key);
        }
        assert!(key_of(&fleet(), "../../x").is_err());
    }

    #[test]
    fn what_was_held_and_what_ran_are_tables() {
        let found = json!({
            "bot": { "holds": [{ "item": "a\u{7}", "step": "open", "since": "s", "attempt": 2, "stillSeconds": 9 }] },
            "processes": null,
        });
        assert_eq!(holds(&found)[1], ["a\u{fffd}", "open", "s", "2", "9"]);
        assert_eq!(processes(&found).len(), 1, "only the head");
    }
}
