use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use proptest::prelude::*;
use scrapefleet_api::{FleetName, ItemId};
use tempfile::TempDir;

use super::{
    folder::{Folder, METADATA, TEMPORARY},
    putting::Putting,
    *,
};
use crate::Origin;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn metadata(bytes: &[u8], attempt: u32) -> Metadata {
    let origin = Origin {
        fleet: FleetName::new("showdown").unwrap(),
        item: ItemId::new("battle-1").unwrap(),
        discovered_at: jiff::Timestamp::UNIX_EPOCH,
        scraped_at: jiff::Timestamp::UNIX_EPOCH,
        attempt,
    };
    Metadata::of(bytes, origin, "text/plain")
}

fn put(folder: &Folder, name: &str, text: &'static str, attempt: u32) -> Result<Put, StoreError> {
    let bytes = Bytes::from_static(text.as_bytes());
    putting::put_new(folder, &key(name), &bytes, &metadata(&bytes, attempt))
}

fn refused<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Err(StoreError::Refused(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

fn files_in(path: &Path) -> usize {
    fs::read_dir(path).unwrap().count()
}

/// Every order in which two writers of `steps` steps each can take turns.
fn orders(steps: usize) -> Vec<Vec<usize>> {
    let with_as_many_of_each = |bits: &u32| bits.count_ones() as usize == steps;
    let order = |bits: u32| (0..2 * steps).map(|at| (bits >> at & 1) as usize).collect();
    (0..1_u32 << (2 * steps)).filter(with_as_many_of_each).map(order).collect()
}

/// Runs two puts of one key in every order of their steps and looks at the object after each step. A writer that dies
/// is one whose remaining steps come after everything that is looked at, so this is also every way to die.
fn every_order(texts: [&'static str; 2]) {
    const STEPS: usize = 7;
    let dir = TempDir::new_in("/dev/shm").unwrap();
    let folder = opening::create(dir.path()).unwrap().without_fsync();
    let written = [metadata(texts[0].as_bytes(), 1), metadata(texts[1].as_bytes(), 2)];
    for (number, order) in orders(STEPS).into_iter().enumerate() {
        let key = key(&format!("order/{number}"));
        let open = folder.open_to_write().unwrap();
        let mut writers =
            [0, 1].map(|n| Putting::new(&open, &key, texts[n].as_bytes(), &written[n]).unwrap());
        let (mut answers, mut seen) = ([None, None], None);
        for writer in order {
            if answers[writer].is_none() {
                answers[writer] = writers[writer].advance().unwrap();
            }
            let object =
                reading::get(&folder, &key).unwrap_or_else(|error| panic!("order {number}: {error}"));
            assert!(seen.is_none() || seen == object, "order {number}: the object changed");
            assert!(object.is_some() || answers == [None, None], "order {number}: answered for nothing");
            seen = object;
        }
        let survivor = seen.unwrap();
        let own = |n: usize| survivor.bytes == texts[n] && survivor.metadata == written[n];
        assert!(own(0) || own(1), "order {number}: {survivor:?}");
        let stored = |n: usize| answers[n] == Some(Put::Stored);
        assert!(stored(0) != stored(1) && answers.iter().all(Option::is_some), "order {number}: {answers:?}");
        assert!(texts[0] == texts[1] || stored(0) == own(0), "order {number}: not the winner's");
    }
    assert_eq!(files_in(&dir.path().join(TEMPORARY)), 0);
}

#[test]
fn two_writers_of_different_bytes_in_every_order() {
    every_order(["one", "another"]);
}

#[test]
fn two_writers_of_equal_bytes_in_every_order() {
    every_order(["same", "same"]);
}

#[test]
fn a_writer_that_stops_at_any_step_is_repaired_by_a_repeat() {
    for steps in 0..7 {
        let dir = TempDir::new().unwrap();
        let folder = opening::create(dir.path()).unwrap();
        let open = folder.open_to_write().unwrap();
        let (key, written) = (key("a/b"), metadata(b"x", 1));
        let mut dead = Putting::new(&open, &key, b"x", &written).unwrap();
        for _ in 0..steps {
            assert_eq!(dead.advance().unwrap(), None);
        }
        std::mem::forget(dead);
        let expected = if steps < 6 { Put::Stored } else { Put::AlreadyStored };
        assert_eq!(put(&folder, "a/b", "x", 2).unwrap(), expected, "after {steps} steps");
        let attempt = reading::get(&folder, &key).unwrap().unwrap().metadata.attempt;
        assert_eq!(attempt, if steps < 3 { 2 } else { 1 }, "after {steps} steps");
    }
}

/// Follows what a put did: names are made, and last through a loss of power once the folder they are in was synced after
/// that. `before` are names of which that is not known at the start.
fn follow(folder: &Folder, before: &[&str], mut see: impl FnMut(&str, &Path, &BTreeSet<PathBuf>)) {
    let mut fleeting: BTreeSet<_> = before.iter().map(PathBuf::from).collect();
    let mut file_synced = false;
    for (what, path) in folder.trace.lock().unwrap().drain(..) {
        see(what, &path, &fleeting);
        match what {
            "sync" if path == Path::new("file") => file_synced = true,
            "sync" => fleeting.retain(|name| name.parent() != Some(&path)),
            "link" => assert!(
                std::mem::take(&mut file_synced),
                "{} was linked before its bytes lasted",
                path.display()
            ),
            _ => {}
        }
        if what != "sync" {
            fleeting.insert(path);
        }
    }
    see("answer", Path::new(""), &fleeting);
}

fn lasts(path: &Path, fleeting: &BTreeSet<PathBuf>) -> bool {
    path.ancestors().all(|name| !fleeting.contains(name))
}

#[test]
fn metadata_lasts_before_bytes_are_seen_and_both_last_before_the_answer() {
    let dir = TempDir::new().unwrap();
    let folder = opening::create(dir.path()).unwrap();
    for name in ["fleet/b", "fleet/c", "other/b"] {
        put(&folder, name, "text", 1).unwrap();
        let sha256 = metadata(b"text", 1).sha256;
        let (bytes, about) =
            (PathBuf::from(name), Path::new(METADATA).join(name).join(format!("{sha256}.json")));
        let mut seen = 0;
        follow(&folder, &[], |what, path, fleeting| {
            if what == "link" && path == bytes || what == "answer" {
                seen += 1;
                assert!(lasts(&about, fleeting), "{what}: {fleeting:?}");
            }
            assert!(what != "answer" || lasts(&bytes, fleeting), "{fleeting:?}");
        });
        assert_eq!(seen, 2);
    }
}

#[test]
fn what_a_dead_writer_left_lasts_before_it_is_called_stored() {
    let dir = TempDir::new().unwrap();
    put(&opening::create(dir.path()).unwrap(), "fleet/b", "text", 1).unwrap();
    let folder = opening::create(dir.path()).unwrap();
    folder.trace.lock().unwrap().clear();
    assert_eq!(put(&folder, "fleet/b", "text", 2).unwrap(), Put::AlreadyStored);
    follow(&folder, &["fleet", "fleet/b"], |what, _, fleeting| {
        assert!(what != "answer" || fleeting.is_empty(), "{fleeting:?}");
    });
}

#[tokio::test]
async fn opening_removes_only_what_dead_writers_left_long_ago() {
    let dir = TempDir::new().unwrap();
    DirectoryStore::open(dir.path()).await.unwrap();
    let [old, young] = ["old", "young"].map(|name| dir.path().join(TEMPORARY).join(name));
    for (path, minutes) in [(&old, 61), (&young, 59)] {
        let file = fs::File::create(path).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written - Duration::from_secs(minutes * 60)).unwrap();
    }
    DirectoryStore::open(dir.path()).await.unwrap();
    assert_eq!((old.exists(), young.exists()), (false, true));
    assert_eq!(files_in(&dir.path().join(TEMPORARY)), 1);
}

#[tokio::test]
async fn a_file_in_the_place_of_the_folder_is_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    for inside in [path.clone(), path.join("deeper")] {
        let text = refused(DirectoryStore::open(&inside).await);
        assert!(text.contains("file") && text.contains("a file is where a folder should be"), "{text}");
    }
    refused(DirectoryStore::open_read_only(&path).await);
    refused(DirectoryStore::open_read_only(dir.path().join("nothing")).await);
}

#[tokio::test]
async fn a_store_opened_for_reading_reads_and_creates_nothing() {
    let dir = TempDir::new().unwrap();
    let folder = opening::create(&dir.path().join("a")).unwrap();
    put(&folder, "k", "text", 1).unwrap();
    let store = DirectoryStore::open_read_only(dir.path().join("a")).await.unwrap();
    assert_eq!(store.get(&key("k")).await.unwrap().unwrap().bytes, "text");
    let text = refused(store.put_new(&key("l"), Bytes::new(), &metadata(b"", 1)).await);
    assert!(text.contains("for reading only"), "{text}");

    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let store = DirectoryStore::open_read_only(&empty).await.unwrap();
    assert_eq!(store.get(&key("k")).await.unwrap(), None);
    assert_eq!(files_in(&empty), 0);
}

#[test]
fn a_symbolic_link_is_never_followed_by_a_put() {
    let (dir, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let folder = opening::create(dir.path()).unwrap();
    fs::create_dir(dir.path().join("inside")).unwrap();
    symlink(outside.path(), dir.path().join("out")).unwrap();
    symlink(dir.path().join("inside"), dir.path().join("in")).unwrap();
    symlink(outside.path().join("file"), dir.path().join("inside/leaf")).unwrap();
    symlink(outside.path(), dir.path().join(METADATA).join("m")).unwrap();
    for name in ["out/a", "in/a", "m/a"] {
        let text = refused(put(&folder, name, "x", 1));
        assert!(text.contains("symbolic link") && text.contains("not followed"), "{text}");
    }
    let text = refused(put(&folder, "inside/leaf", "x", 1));
    assert!(text.contains("inside/leaf is not a file"), "{text}");
    assert_eq!(files_in(outside.path()), 0);
    assert_eq!(files_in(&dir.path().join("inside")), 1);
}

#[test]
fn a_symbolic_link_that_leads_out_is_not_followed_by_a_reader() {
    let (dir, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let folder = opening::create(dir.path()).unwrap();
    fs::write(outside.path().join("secret"), "x").unwrap();
    symlink(outside.path(), dir.path().join("out")).unwrap();
    symlink(outside.path().join("secret"), dir.path().join("leaf")).unwrap();
    assert!(matches!(reading::get(&folder, &key("leaf")), Err(StoreError::Damaged { .. })));
    refused(reading::get(&folder, &key("out/secret")));
}

#[test]
fn what_no_put_made_is_damaged() {
    let dir = TempDir::new().unwrap();
    let folder = opening::create(dir.path()).unwrap();
    put(&folder, "a/b", "text", 1).unwrap();
    let sha256 = metadata(b"text", 1).sha256;
    let metadata_path = dir.path().join(METADATA).join(format!("a/b/{sha256}.json"));
    let whole = fs::read_to_string(&metadata_path).unwrap();
    let table = [
        ("changed bytes", "a/b", "texT".to_owned(), "have no metadata: they were changed"),
        ("shortened bytes", "a/b", "tex".to_owned(), "have no metadata: they were changed"),
        ("half the metadata", "metadata", whole[..40].to_owned(), "its metadata cannot be read"),
        (
            "metadata of others",
            "metadata",
            whole.replace(&sha256, &sha256.replace('a', "b")),
            "the metadata is of bytes",
        ),
        ("hostile metadata", "metadata", whole.replace("battle-1", "<a>"), "its metadata cannot be read"),
        ("endless metadata", "metadata", " ".repeat(70_000), "more than 65536 bytes"),
    ];
    for (damage, place, content, why) in table {
        let path = if place == "metadata" { metadata_path.clone() } else { dir.path().join(place) };
        let before = fs::read(&path).unwrap();
        fs::write(&path, content).unwrap();
        match reading::get(&folder, &key("a/b")) {
            Err(StoreError::Damaged { why: found, .. }) => assert!(found.contains(why), "{damage}: {found}"),
            other => panic!("{damage}: {other:?}"),
        }
        fs::write(&path, before).unwrap();
    }
    assert_eq!(reading::get(&folder, &key("a/b")).unwrap().unwrap().bytes, "text");
}

#[test]
fn a_pipe_in_the_store_hangs_nobody() {
    let dir = TempDir::new().unwrap();
    let folder = opening::create(dir.path()).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("pipe"), rustix::fs::FileType::Fifo, mode, 0)
        .unwrap();
    assert!(matches!(reading::get(&folder, &key("pipe")), Err(StoreError::Damaged { .. })));
    refused(put(&folder, "pipe", "x", 1));
}

#[test]
fn one_key_cannot_be_the_folder_of_another() {
    let dir = TempDir::new().unwrap();
    let folder = opening::create(dir.path()).unwrap();
    put(&folder, "a", "text", 1).unwrap();
    put(&folder, "b/c", "text", 1).unwrap();
    refused(put(&folder, "a/b", "other", 1));
    refused(put(&folder, "b", "other", 1));
    assert_eq!(reading::get(&folder, &key("a/b")).unwrap(), None);
    assert!(!reading::exists(&folder, &key("b")).unwrap());
    assert_eq!(reading::get(&folder, &key("a")).unwrap().unwrap().bytes, "text");
}

#[test]
fn the_longest_keys_fit() {
    let dir = TempDir::new().unwrap();
    let folder = opening::create(dir.path()).unwrap();
    for name in ["x".repeat(255), vec!["y".repeat(249); 4].join("/")] {
        assert_eq!(put(&folder, &name, "text", 1).unwrap(), Put::Stored);
        assert!(reading::exists(&folder, &key(&name)).unwrap());
    }
}

#[test]
fn a_folder_that_was_removed_is_missed_and_found_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store");
    let folder = opening::create(&path).unwrap();
    fs::remove_dir_all(&path).unwrap();
    assert!(refused(put(&folder, "a/b", "x", 1)).contains("removed or unmounted"));
    fs::create_dir(&path).unwrap();
    assert_eq!(put(&folder, "a/b", "x", 1).unwrap(), Put::Stored);
}

#[tokio::test]
async fn a_listing_goes_on_past_what_is_no_object() {
    let dir = TempDir::new().unwrap();
    let store = DirectoryStore::open(dir.path()).await.unwrap();
    let names: Vec<_> = (0..1_500).map(|n| format!("a/{n:04}")).collect();
    fs::create_dir(dir.path().join("a")).unwrap();
    for name in &names {
        fs::write(dir.path().join(name), "").unwrap();
    }
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    fs::write(dir.path().join("a/.hidden"), "").unwrap();
    fs::write(dir.path().join("a/no key\n"), "").unwrap();
    symlink("/", dir.path().join("a/link")).unwrap();
    let found: Vec<_> = store.list("").await.unwrap().collect().await;
    let (keys, errors): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
    let mut keys: Vec<_> = keys.into_iter().map(|key| key.unwrap().to_string()).collect();
    keys.sort();
    assert_eq!(keys, names);
    let mut errors: Vec<_> = errors.into_iter().map(refused).collect();
    errors.sort();
    assert_eq!(errors.len(), 2);
    assert!(errors[0].contains("a/link") && errors[1].contains("a/no key\\n"), "{errors:?}");
}

#[tokio::test]
async fn a_prefix_cannot_leave_the_folder() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("secret")).unwrap();
    fs::write(dir.path().join("secret/file"), "").unwrap();
    let store = DirectoryStore::open(dir.path().join("store")).await.unwrap();
    for prefix in ["../", "../secret/", "/", "//", "a/../../secret/", ".metadata/", ".", "..", "\0", "/etc/"]
    {
        assert_eq!(store.list(prefix).await.unwrap().count().await, 0, "{prefix:?}");
    }
}

/// Not a promise, but what makes a store pleasant: files are named by their keys and hold the bytes as they are.
#[test]
fn objects_are_ordinary_files() {
    let dir = TempDir::new().unwrap();
    let folder = opening::create(dir.path()).unwrap();
    put(&folder, "showdown/battle-1", "|win|a\n", 1).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("showdown/battle-1")).unwrap(), "|win|a\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_listing_finds_what_the_prefix_says(
        keys in prop::collection::btree_set("(a|b|ab)/(a|b|ab)/[abc]{1,3}", 0..12),
        prefix in "(a|b|ab|/){0,5}",
    ) {
        let dir = TempDir::new_in("/dev/shm").unwrap();
        let folder = opening::create(dir.path()).unwrap().without_fsync();
        for name in &keys {
            put(&folder, name, "x", 1).unwrap();
        }
        let mut listing = Listing::start(&folder, &prefix).unwrap();
        let mut found = Vec::new();
        while !listing.is_over() {
            found.extend(listing.next_batch(&folder).into_iter().map(|key| key.unwrap().to_string()));
        }
        found.sort();
        let expected: Vec<_> = keys.into_iter().filter(|name| name.starts_with(&prefix)).collect();
        prop_assert_eq!(found, expected);
    }
}
