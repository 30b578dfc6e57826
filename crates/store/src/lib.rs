//! The artifact store: its contract and its implementations.
//!
//! What [`ArtifactStore`] promises is written on its methods and proven by the contract suite, which runs
//! against every implementation.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

pub mod key;
pub mod metadata;

pub use key::{Key, KeyTemplate};
pub use metadata::Metadata;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached now; the same call may succeed later.
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    /// The store refuses: permissions, a missing bucket or folder.
    #[error("the store refuses: {0}")]
    Refused(String),
    /// There is no room.
    #[error("the store is full: {0}")]
    Full(String),
    /// What is stored cannot be read.
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

/// An object and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// The bytes as stored.
    pub bytes: Bytes,
    /// What is known of them.
    pub metadata: Metadata,
}

/// Objects that are written once.
#[async_trait]
pub trait ArtifactStore: Send + Sync + std::fmt::Debug {
    /// Puts `bytes` at `key` unless something is there. No reader ever sees half an object, whatever dies.
    async fn put_new(&self, key: &Key, bytes: Bytes, metadata: &Metadata) -> Result<Put, StoreError>;

    /// The object at `key`, or none.
    async fn get(&self, key: &Key) -> Result<Option<Artifact>, StoreError>;

    /// Whether something is at `key`; cheap.
    async fn exists(&self, key: &Key) -> Result<bool, StoreError>;

    /// Every key that starts with `prefix`, in no promised order; what cannot be read comes as an error and the stream goes on.
    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Key, StoreError>>, StoreError>;
}
