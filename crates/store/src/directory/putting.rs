//! One put, step by step; the module [`directory`](super) says why in this order.

use std::path::PathBuf;

use bytes::Bytes;

use super::folder::{Folder, Open, Temporary, metadata_path_of, path_of};
use crate::{Key, Metadata, Put, StoreError};

/// Puts `bytes` at `key` unless something is there.
pub(super) fn put_new(
    folder: &Folder,
    key: &Key,
    bytes: &Bytes,
    metadata: &Metadata,
) -> Result<Put, StoreError> {
    metadata.admit(key, bytes)?;
    let open = folder.open_to_write()?;
    let mut putting = Putting::new(&open, key, bytes, metadata)?;
    loop {
        if let Some(put) = putting.advance()? {
            return Ok(put);
        }
    }
}

/// A put on its way. Each call of [`advance`](Putting::advance) makes one step, so that tests can stop between any two.
pub(super) struct Putting<'a> {
    open: &'a Open<'a>,
    path: PathBuf,
    metadata_path: PathBuf,
    bytes: &'a [u8],
    metadata: Vec<u8>,
    next: Step<'a>,
}

enum Step<'a> {
    Look,
    WriteMetadata,
    LinkMetadata(Temporary<'a>),
    SettleMetadata,
    WriteBytes,
    LinkBytes(Temporary<'a>),
    SettleBytes(Put),
}

impl<'a> Putting<'a> {
    pub(super) fn new(
        open: &'a Open<'a>,
        key: &Key,
        bytes: &'a [u8],
        metadata: &Metadata,
    ) -> Result<Self, StoreError> {
        let json = serde_json::to_vec(metadata).map_err(|error| {
            StoreError::Refused(format!("the metadata of {key} cannot be written: {error}"))
        })?;
        Ok(Self {
            open,
            path: path_of(key),
            metadata_path: metadata_path_of(key, &metadata.sha256),
            bytes,
            metadata: json,
            next: Step::Look,
        })
    }

    /// Makes the next step; answers when it was the last.
    pub(super) fn advance(&mut self) -> Result<Option<Put>, StoreError> {
        self.next = match std::mem::replace(&mut self.next, Step::Look) {
            Step::Look if self.is_taken()? => Step::SettleBytes(Put::AlreadyStored),
            Step::Look => Step::WriteMetadata,
            Step::WriteMetadata => Step::LinkMetadata(self.open.write(&self.metadata)?),
            Step::LinkMetadata(temporary) => {
                temporary.link(&self.metadata_path)?;
                Step::SettleMetadata
            }
            Step::SettleMetadata => {
                self.settle(&self.metadata_path)?;
                Step::WriteBytes
            }
            Step::WriteBytes => Step::LinkBytes(self.open.write(self.bytes)?),
            Step::LinkBytes(temporary) => Step::SettleBytes(self.link_bytes(&temporary)?),
            Step::SettleBytes(put) => {
                self.settle(&self.path)?;
                return Ok(Some(put));
            }
        };
        Ok(None)
    }

    fn link_bytes(&self, temporary: &Temporary<'_>) -> Result<Put, StoreError> {
        if temporary.link(&self.path)? {
            return Ok(Put::Stored);
        }
        if self.is_taken()? {
            return Ok(Put::AlreadyStored);
        }
        let shown = self.path.display();
        Err(StoreError::Unreachable(format!(
            "{shown} was there and is not: something else removes files from the store"
        )))
    }

    /// Whether an object is there. What is not a file can never become one, so it is an error.
    fn is_taken(&self) -> Result<bool, StoreError> {
        match self.open.dir().symlink_metadata(&self.path) {
            Ok(found) if found.is_file() => Ok(true),
            Ok(found) => {
                let kind = if found.is_dir() { "the folder of other objects" } else { "not a file" };
                let shown = self.path.display();
                Err(StoreError::Refused(format!(
                    "{shown} is {kind}: move it away, or choose another key template"
                )))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.open.fault("look at", &self.path, &error)),
        }
    }

    fn settle(&self, path: &std::path::Path) -> Result<(), StoreError> {
        self.open.settle(path.parent().unwrap_or(std::path::Path::new("")))
    }
}
