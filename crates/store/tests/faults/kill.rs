//! Writers that are killed.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{ChildStdout, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt as _, future::join_all};
use scrapefleet_api::{FleetName, ItemId};
use scrapefleet_store::{ArtifactStore, DirectoryStore, Key, Metadata, Origin, Put};
use tempfile::TempDir;

use super::part;

const MOMENTS: u64 = 20;

/// Decides all that is random here.
const SEED: u64 = 20_260_102;

/// The object that writer `writer` puts at key number `number`: from nothing to many pages.
fn object(number: u64, writer: u64) -> (Bytes, Metadata) {
    let mut random = fastrand::Rng::with_seed(number * 10 + writer);
    let mut bytes = vec![0; random.usize(..100_000)];
    random.fill(&mut bytes);
    let origin = Origin {
        fleet: FleetName::new("showdown").unwrap(),
        item: ItemId::new(format!("battle-{number}")).unwrap(),
        discovered_at: jiff::Timestamp::UNIX_EPOCH,
        scraped_at: jiff::Timestamp::UNIX_EPOCH,
        attempt: u32::try_from(writer).unwrap() + 1,
    };
    let metadata = Metadata::of(&bytes, origin, "text/plain");
    (bytes.into(), metadata)
}

fn key(number: u64) -> Key {
    Key::new(format!("folder-{}/battle-{number}", number / 7)).unwrap()
}

async fn put(store: &DirectoryStore, number: u64, writer: u64) -> Put {
    let (bytes, metadata) = object(number, writer);
    store.put_new(&key(number), bytes, &metadata).await.unwrap()
}

/// The part that is killed: two writers for each key, which say what they were answered, without end.
pub(crate) fn writer(folder: &Path) {
    run(async {
        let store = DirectoryStore::open(folder).await.unwrap();
        let first: u64 = std::env::var("FIRST").unwrap().parse().unwrap();
        for number in (first..).step_by(3) {
            let puts =
                [0, 1, 2].map(|n| number + n).into_iter().flat_map(|number| [(number, 0), (number, 1)]);
            join_all(puts.map(|(number, writer)| say_put(&store, number, writer))).await;
        }
    });
}

async fn say_put(store: &DirectoryStore, number: u64, writer: u64) {
    let answer = put(store, number, writer).await;
    // One write, so that a kill never leaves half a line.
    let line = format!("{number} {writer} {answer:?}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Kills a writer at 20 moments, each time on what the ones before left, with a reader that watches all the time.
pub(crate) fn killed_writers() {
    let folder = TempDir::new().unwrap();
    let mut random = fastrand::Rng::with_seed(SEED);
    let (mut stored, mut highest) = (HashMap::new(), 0);
    for moment in 0..MOMENTS {
        let killed_after = (random.usize(1..30), Duration::from_micros(random.u64(..5_000)));
        // Numbers that were on their way when the last writer died, and were perhaps stored, are put again.
        let first = u64::saturating_sub(highest, random.u64(..6));
        let lines = kill_one(folder.path(), first, killed_after);
        highest = highest.max(remember(&lines, &mut stored));
        let left = std::fs::read_dir(folder.path().join(".temporary")).unwrap().count();
        let whole = run(check(folder.path(), &stored));
        println!(
            "moment {moment}: {} answers, {left} temporary files left, {whole} whole objects",
            lines.len()
        );
    }
    run(repair(folder.path(), highest + 3, &stored));
}

/// Starts a writer, kills it a while after its so-manieth answer, and returns every answer that it got to say.
fn kill_one(folder: &Path, first: u64, (answers, then): (usize, Duration)) -> Vec<String> {
    let mut child = part::command("writer", folder)
        .env("FIRST", first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = take_lines(&mut lines, answers);
    let since = Instant::now();
    while since.elapsed() < then {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    said.extend(take_lines(&mut lines, usize::MAX));
    child.wait().unwrap();
    said
}

fn take_lines(lines: &mut std::io::Lines<BufReader<ChildStdout>>, most: usize) -> Vec<String> {
    lines.by_ref().take(most).map(Result::unwrap).collect()
}

/// Notes who was told `Stored` for which number, and answers the highest number that was answered.
fn remember(lines: &[String], stored: &mut HashMap<u64, Option<u64>>) -> u64 {
    let mut highest = 0;
    for line in lines {
        let [number, writer, answer] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
        let (number, writer) = (number.parse().unwrap(), writer.parse().unwrap());
        let winner = stored.entry(number).or_default();
        if answer == "Stored" {
            assert_eq!(*winner, None, "two writers were told `Stored` for {number}");
            *winner = Some(writer);
        }
        highest = highest.max(number);
    }
    highest
}

/// Everything that was answered is there, whole, and the winner's; everything that is there is whole and somebody's.
async fn check(folder: &Path, stored: &HashMap<u64, Option<u64>>) -> usize {
    let store = DirectoryStore::open(folder).await.unwrap();
    for (number, winner) in stored {
        let found = store.get(&key(*number)).await.unwrap();
        let found = found.unwrap_or_else(|| panic!("{number} was answered and is lost"));
        if let Some(winner) = winner {
            let (bytes, metadata) = object(*number, *winner);
            assert!(found.bytes == bytes && found.metadata == metadata, "{number} is not the winner's");
        }
    }
    let keys: Vec<_> = store.list("").await.unwrap().map(Result::unwrap).collect().await;
    for key in &keys {
        let found = store.get(key).await.unwrap().unwrap();
        let number = key.as_str().rsplit('-').next().unwrap().parse().unwrap();
        let somebodys =
            (0..2).any(|writer| object(number, writer) == (found.bytes.clone(), found.metadata.clone()));
        assert!(somebodys, "{key} is nobody's");
    }
    keys.len()
}

/// After all that every key can be put, and what was there stays.
async fn repair(folder: &Path, numbers: u64, stored: &HashMap<u64, Option<u64>>) {
    let store = DirectoryStore::open(folder).await.unwrap();
    for number in 0..numbers {
        let answer = put(&store, number, 0).await;
        assert!(answer == Put::AlreadyStored || !stored.contains_key(&number), "{number} was lost");
    }
    assert_eq!(check(folder, stored).await, usize::try_from(numbers).unwrap());
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}
