//! A store in a folder of a file system.
//!
//! | path, below the folder | what |
//! |---|---|
//! | `KEY` | the bytes of the object |
//! | `.metadata/KEY/SHA256.json` | metadata of bytes with that hash at that key |
//! | `.temporary/NAME` | what is being written; nobody reads it |
//!
//! Keys never begin with a dot, so the three never meet. A file reaches its place by a hard link, which never
//! replaces what is there, and only after its bytes are on the disk; so every file in the first two rows is whole
//! from the moment it can be seen, and never changes. A put goes through these steps:
//!
//! 1. *look*: something is at the key already: go to 7.
//! 2. *write the metadata* to a temporary file, fsync it.
//! 3. *link the metadata* to its place; a file there already is as good.
//! 4. *settle the metadata*: fsync the folder it is in, and those above where that was not known to be done.
//! 5. *write the bytes* to a temporary file, fsync it.
//! 6. *link the bytes* to the key; a file there already means `AlreadyStored`.
//! 7. *settle the bytes*: fsync folders as in 4. Only now the put answers.
//!
//! # Why bytes always have their own metadata
//!
//! Metadata is found by the hash of the bytes. The one step that makes an object visible, 6, comes after its
//! writer's own step 4, so metadata named by the hash of those bytes is there, durably, before the bytes can be seen.
//! Nothing removes or replaces it later.
//!
//! - *Two writers with different bytes* write two files of metadata under two names. One link of step 6 succeeds;
//!   whichever it is, its metadata is there. The other file is left over, is never looked at, and takes a few
//!   hundred bytes.
//! - *Two writers with equal bytes* have one name. The first link of step 3 wins and stays; it is true of the bytes
//!   whoever wins step 6, since both took exactly these bytes for this key. Replacing it instead would change
//!   the metadata of an object that can be seen already.
//! - *Killed before 3*: a temporary file remains, which a later [`open`](DirectoryStore::open) sweeps. *Between 3 and
//!   6*: also metadata without bytes; nothing shows it, and the next put of the same bytes uses it. *After 6*: the
//!   object is there; the repeated put finds it in step 1.
//! - *Power lost before 4 is done*: the metadata may be gone, and the bytes were not linked. *Between 4 and 6*: as if
//!   killed. *Between 6 and 7*: the bytes are whole, for they were fsynced before the link, but the link may be gone:
//!   no put answered for it. This is why finding something in step 1 or 6 still goes through step 7: the writer of
//!   what was found may have died before its own, and `AlreadyStored` makes the caller forget its bytes as much as
//!   `Stored` does.
//! - *The disk is full* at any step: the put fails, its temporary file is removed, and the state is one of the above.
//!
//! # What the folder may hold
//!
//! The store follows no symbolic link below its folder, and reaches no file outside of it even when links are made
//! while it works. Files that it did not put are reported as damaged, or as errors of a listing. Names with a leading
//! dot, and `lost+found`, are not looked at. Where one key is the folder of another (`a` and `a/b`), the second put
//! is refused.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};

use crate::{Artifact, ArtifactStore, Key, Metadata, Put, StoreError};

mod fault;
mod folder;
mod listing;
mod opening;
mod putting;
mod reading;
mod threads;

use folder::Folder;
use listing::Listing;
use threads::Threads;

/// A call that takes longer fails: a disk of a network that hangs must not hang a bot. Writing and syncing the
/// largest ordinary artifact takes a few ms on a local disk, and seconds on a busy remote one.
const DEADLINE: Duration = Duration::from_secs(20);

/// Calls that use the file system at once; more wait. Enough to keep a disk busy, few enough that a hanging one does
/// not use up the program's threads.
const CONCURRENCY: usize = 8;

/// A store in a folder of a file system; see the [module](self) for how.
#[derive(Debug, Clone)]
pub struct DirectoryStore {
    folder: Arc<Folder>,
    threads: Threads,
}

impl DirectoryStore {
    /// Opens the store in the folder `path`, and creates the folder if it is not there. Tries whether files can be
    /// written, linked and synced there, and removes temporary files that dead writers left more than an hour ago.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        Self::opened("open the store", move || opening::create(&path)).await
    }

    /// Opens the store in the folder `path`, which must be there, for reading only: every put is refused.
    pub async fn open_read_only(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        Self::opened("open the store for reading", move || opening::existing(&path)).await
    }

    async fn opened(
        name: &'static str,
        open: impl FnOnce() -> Result<Folder, StoreError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let threads = Threads::new(CONCURRENCY, DEADLINE);
        let folder = Arc::new(threads.run(name, open).await?);
        Ok(Self { folder, threads })
    }

    /// Runs `work` on the folder, away from the threads that must not wait.
    async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Folder) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let folder = Arc::clone(&self.folder);
        self.threads.run(name, move || work(&folder)).await
    }
}

#[async_trait]
impl ArtifactStore for DirectoryStore {
    async fn put_new(&self, key: &Key, bytes: Bytes, metadata: &Metadata) -> Result<Put, StoreError> {
        let (key, metadata) = (key.clone(), metadata.clone());
        self.run("put", move |folder| putting::put_new(folder, &key, &bytes, &metadata)).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Artifact>, StoreError> {
        let key = key.clone();
        self.run("get", move |folder| reading::get(folder, &key)).await
    }

    async fn exists(&self, key: &Key) -> Result<bool, StoreError> {
        let key = key.clone();
        self.run("look for an object", move |folder| reading::exists(folder, &key)).await
    }

    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Key, StoreError>>, StoreError> {
        let prefix = prefix.to_owned();
        let listing = self.run("list", move |folder| Listing::start(folder, &prefix)).await?;
        let batches = stream::unfold((self.clone(), Some(listing)), |(store, listing)| async move {
            let (batch, listing) = store.next_batch(listing?).await;
            Some((stream::iter(batch), (store, listing)))
        });
        Ok(batches.flatten().boxed())
    }
}

impl DirectoryStore {
    /// The next keys of a listing, and the listing unless it is at its end.
    async fn next_batch(&self, mut listing: Listing) -> (Vec<Result<Key, StoreError>>, Option<Listing>) {
        let work = move |folder: &Folder| {
            let batch = listing.next_batch(folder);
            Ok((batch, (!listing.is_over()).then_some(listing)))
        };
        match self.run("list", work).await {
            Ok(batch) => batch,
            Err(error) => (vec![Err(error)], None),
        }
    }
}

/// Whether a path is not there, be it that one of its folders is not there or is a file.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests;
