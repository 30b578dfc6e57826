//! The fake: a store in memory, for tests of what uses one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};

use crate::{Artifact, ArtifactStore, Key, Metadata, Put, StoreError};

/// A store in memory that keeps every promise but that of outliving its process. Clones share what is stored.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<Key, Artifact>,
    outage: Option<Outage>,
}

/// What is wrong with a store for the time being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Every call answers [`StoreError::Unreachable`].
    Unreachable,
    /// Puts answer [`StoreError::Refused`].
    ReadOnly,
    /// Puts answer [`StoreError::Full`].
    Full,
}

impl MemoryStore {
    /// Begins an outage, or ends it.
    pub fn set_outage(&self, outage: Option<Outage>) {
        self.lock().outage = outage;
    }

    /// Puts bytes at `key` that need not fit `metadata`, over what is there: damage, as a disk may do it.
    pub fn damage(&self, key: Key, bytes: Bytes, metadata: Metadata) {
        self.lock().objects.insert(key, Artifact { bytes, metadata });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn readable(&self) -> Result<(), StoreError> {
        match self.outage {
            Some(Outage::Unreachable) => {
                Err(StoreError::Unreachable("the memory store is told to be away".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn writable(&self) -> Result<(), StoreError> {
        match self.outage {
            Some(Outage::ReadOnly) => {
                Err(StoreError::Refused("the memory store is told to take no puts".to_owned()))
            }
            Some(Outage::Full) => Err(StoreError::Full("the memory store is told to be full".to_owned())),
            _ => self.readable(),
        }
    }
}

#[async_trait]
impl ArtifactStore for MemoryStore {
    async fn put_new(&self, key: &Key, bytes: Bytes, metadata: &Metadata) -> Result<Put, StoreError> {
        metadata.admit(key, &bytes)?;
        let mut state = self.lock();
        state.writable()?;
        if state.objects.contains_key(key) {
            return Ok(Put::AlreadyStored);
        }
        state.objects.insert(key.clone(), Artifact { bytes, metadata: metadata.clone() });
        Ok(Put::Stored)
    }

    async fn get(&self, key: &Key) -> Result<Option<Artifact>, StoreError> {
        let state = self.lock();
        state.readable()?;
        let Some(artifact) = state.objects.get(key) else { return Ok(None) };
        let damaged = |mismatch: crate::artifact::Mismatch| StoreError::Damaged {
            key: key.clone(),
            why: mismatch.to_string(),
        };
        artifact.verify().map_err(damaged)?;
        Ok(Some(artifact.clone()))
    }

    async fn exists(&self, key: &Key) -> Result<bool, StoreError> {
        let state = self.lock();
        state.readable()?;
        Ok(state.objects.contains_key(key))
    }

    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Key, StoreError>>, StoreError> {
        let state = self.lock();
        state.readable()?;
        let keys: Vec<_> =
            state.objects.keys().filter(|key| key.as_str().starts_with(prefix)).cloned().map(Ok).collect();
        Ok(stream::iter(keys).boxed())
    }
}
