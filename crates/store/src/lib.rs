//! The artifact store: its contract and its implementations.
//!
//! What [`ArtifactStore`] promises is written on its methods and proven by the contract suite, which runs
//! against every implementation.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

pub mod artifact;
pub mod compression;
#[cfg(feature = "contract")]
pub mod contract;
pub mod directory;
pub mod key;
pub mod memory;
pub mod metadata;
pub mod s3;

pub use artifact::Artifact;
pub use directory::DirectoryStore;
pub use key::{Key, KeyTemplate};
pub use memory::MemoryStore;
pub use metadata::{Metadata, Origin};
pub use s3::S3Store;

/// The largest object, in bytes; a put of a larger one is refused. Far above what a page gives, and well below what
/// one request to an object store may carry (5 GiB on S3) or a bot's memory bears.
pub const MAX_OBJECT: usize = 256 * 1024 * 1024;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached now; the same call may succeed later.
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    /// The store refuses, and will until a person changes something: permissions, a missing bucket or folder, what
    /// no store could carry.
    #[error("the store refuses: {0}")]
    Refused(String),
    /// There is no room.
    #[error("the store is full: {0}")]
    Full(String),
    /// What is stored, or was to be stored, does not fit its metadata or cannot be read.
    #[error("object {key} is damaged: {why}")]
    Damaged {
        /// The object.
        key: Key,
        /// What is wrong with it.
        why: String,
    },
}

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The bytes are there now, durably.
    Stored,
    /// The key was taken; its bytes and metadata were left alone.
    AlreadyStored,
}

/// Objects that are written once.
#[async_trait]
pub trait ArtifactStore: Send + Sync + std::fmt::Debug {
    /// Puts `bytes` at `key` unless something is there. No reader ever sees half an object, whatever dies.
    ///
    /// Either answer means that the object is durable. After an error nothing half-done is ever seen, but the object
    /// may be there; the same put may be repeated. Bytes that are not those that `metadata` is of are
    /// [`Damaged`](StoreError::Damaged) and not stored.
    async fn put_new(&self, key: &Key, bytes: Bytes, metadata: &Metadata) -> Result<Put, StoreError>;

    /// The object at `key`, or none. Its bytes are those that its metadata is of, or it is [`Damaged`](StoreError::Damaged).
    async fn get(&self, key: &Key) -> Result<Option<Artifact>, StoreError>;

    /// Whether something is at `key`; cheap. It may be so a moment before the put that put it there has made it
    /// durable, so only the answer of a put is a reason to forget the bytes.
    async fn exists(&self, key: &Key) -> Result<bool, StoreError>;

    /// Every key that starts with `prefix`, each once, in no promised order; what cannot be read comes as an error and
    /// the stream goes on. Keys put while it runs may be among them or not; those put before are.
    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Key, StoreError>>, StoreError>;
}
