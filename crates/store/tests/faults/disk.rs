//! Disks that are full, read-only, or another user's.

use std::{
    fs,
    future::Future,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use futures::StreamExt as _;
use scrapefleet_api::{FleetName, ItemId};
use scrapefleet_store::{ArtifactStore as _, DirectoryStore, Key, Metadata, Origin, Put, StoreError};

const PAGE: usize = 4096;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

fn mount(arguments: &[&str], folder: &Path) {
    let status = Command::new("mount").args(arguments).arg(folder).status().unwrap();
    assert!(status.success(), "mount {arguments:?}");
}

fn key(text: impl Into<String>) -> Key {
    Key::new(text).unwrap()
}

async fn put(store: &DirectoryStore, key: &Key, size: usize) -> Result<Put, StoreError> {
    let bytes = Bytes::from(vec![7; size]);
    let origin = Origin {
        fleet: FleetName::new("showdown").unwrap(),
        item: ItemId::new("battle-1").unwrap(),
        discovered_at: jiff::Timestamp::UNIX_EPOCH,
        scraped_at: jiff::Timestamp::UNIX_EPOCH,
        attempt: 1,
    };
    let metadata = Metadata::of(&bytes, origin, "text/plain");
    store.put_new(key, bytes, &metadata).await
}

/// How many objects a listing has; each must be whole.
async fn count_whole(store: &DirectoryStore) -> usize {
    let keys: Vec<_> = store.list("").await.unwrap().map(Result::unwrap).collect().await;
    for key in &keys {
        store.get(key).await.unwrap().unwrap().verify().unwrap();
    }
    keys.len()
}

fn temporaries(folder: &Path) -> usize {
    fs::read_dir(folder.join(".temporary")).unwrap().count()
}

/// Fills the disk until it has room for `pages` more pages.
fn fill(folder: &Path, pages: usize) -> PathBuf {
    let ballast = folder.join(".ballast");
    let free = rustix::fs::statvfs(folder).unwrap().f_bavail;
    let size = usize::try_from(free).unwrap().saturating_sub(pages) * PAGE;
    fs::write(&ballast, vec![1; size]).unwrap();
    ballast
}

/// With room for none, one, two... more pages each step of a put meets the full disk in turn.
pub(crate) fn full(folder: &Path) {
    mount(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"], folder);
    run(async {
        let store = DirectoryStore::open(folder).await.unwrap();
        let mut stored = 0;
        for pages in 0..16 {
            let ballast = fill(folder, pages);
            let key = key(format!("fleet-{pages}/battle"));
            let found = put(&store, &key, 5 * PAGE).await;
            println!("room for {pages} pages: {found:?}");
            match found {
                Err(StoreError::Full(text)) => {
                    assert!(text.contains(folder.to_str().unwrap()) && text.contains("free space"), "{text}");
                    assert_eq!(store.get(&key).await.unwrap(), None);
                    assert!(!store.exists(&key).await.unwrap());
                }
                other => {
                    assert_eq!(other.unwrap(), Put::Stored);
                    assert!(pages > 5, "an object of 5 pages and its metadata fit {pages} pages");
                }
            }
            assert_eq!(temporaries(folder), 0);
            fs::remove_file(ballast).unwrap();
            put(&store, &key, 5 * PAGE).await.unwrap();
            stored += 1;
            assert_eq!(count_whole(&store).await, stored);
        }
        assert!(matches!(put(&store, &key("large"), 4 << 20).await, Err(StoreError::Full(_))));
        assert_eq!(count_whole(&store).await, stored);
        fill(folder, 0);
        assert!(matches!(DirectoryStore::open(folder).await, Err(StoreError::Full(_))));
    });
}

/// A disk with free space that takes no more files.
pub(crate) fn no_more_files(folder: &Path) {
    mount(&["-t", "tmpfs", "-o", "size=2m,nr_inodes=40", "tmpfs"], folder);
    run(async {
        let store = DirectoryStore::open(folder).await.unwrap();
        let mut stored = 0;
        let error = loop {
            match put(&store, &key(format!("fleet-{stored}/battle")), 10).await {
                Ok(put) => assert_eq!(put, Put::Stored),
                Err(error) => break error,
            }
            stored += 1;
        };
        println!("after {stored} objects: {error}");
        assert!(matches!(error, StoreError::Full(_)) && stored > 1, "{error}");
        assert_eq!(count_whole(&store).await, stored);
        assert_eq!(temporaries(folder), 0);
    });
}

/// A disk that becomes read-only, as one with errors does.
pub(crate) fn read_only(folder: &Path) {
    mount(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"], folder);
    run(async {
        let store = DirectoryStore::open(folder).await.unwrap();
        put(&store, &key("a/before"), 100).await.unwrap();
        // With its source, so that nothing is asked but that: not its user, who has no number in a namespace.
        mount(&["-o", "remount,ro", "tmpfs"], folder);
        for answer in
            [put(&store, &key("a/b"), 100).await.map(drop), DirectoryStore::open(folder).await.map(drop)]
        {
            println!("{answer:?}");
            let Err(StoreError::Refused(text)) = answer else { panic!("not refused: {answer:?}") };
            assert!(text.contains("mounted read-only") && text.contains(folder.to_str().unwrap()), "{text}");
        }
        assert_eq!(count_whole(&store).await, 1);
        assert_eq!(put(&store, &key("a/before"), 100).await.unwrap(), Put::AlreadyStored);
        assert_eq!(count_whole(&DirectoryStore::open_read_only(folder).await.unwrap()).await, 1);
        mount(&["-o", "remount,rw", "tmpfs"], folder);
        assert_eq!(put(&store, &key("a/b"), 100).await.unwrap(), Put::Stored);
        assert_eq!(count_whole(&store).await, 2);
    });
}

/// A folder that this process's user may read and not write.
pub(crate) fn stranger(folder: &Path) {
    if !rustix::process::geteuid().is_root()
        && fs::metadata(folder).unwrap().permissions().mode() & 0o200 != 0
    {
        // When the folder is our own, as without root, only its mode keeps us out.
        let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o555));
    }
    run(async {
        for path in [folder.to_owned(), folder.join("deeper/store")] {
            let answer = DirectoryStore::open(&path).await;
            println!("{answer:?}");
            let Err(StoreError::Refused(text)) = answer else { panic!("not refused: {answer:?}") };
            assert!(
                text.contains("give this program's user access") && text.contains(path.to_str().unwrap()),
                "{text}"
            );
        }
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    });
}
