//! An object and what is known of it.

use bytes::Bytes;

use crate::{Metadata, compression, compression::DecodeError, metadata::sha256};

/// An object and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// The bytes as stored.
    pub bytes: Bytes,
    /// What is known of them.
    pub metadata: Metadata,
}

/// The bytes are not those that the metadata is of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the metadata is of bytes with sha256 {expected}, these {length} bytes have {found}")]
pub struct Mismatch {
    /// SHA-256 that the metadata says, in hex.
    pub expected: String,
    /// SHA-256 of the bytes, in hex.
    pub found: String,
    /// How many bytes there are.
    pub length: usize,
}

impl Artifact {
    /// Says whether the bytes are those that the metadata is of.
    pub fn verify(&self) -> Result<(), Mismatch> {
        let found = sha256(&self.bytes);
        if found == self.metadata.sha256 {
            return Ok(());
        }
        Err(Mismatch { expected: self.metadata.sha256.clone(), found, length: self.bytes.len() })
    }

    /// The bytes as they were taken; `limit` is the most that may come out of compressed ones.
    pub fn decoded(&self, limit: usize) -> Result<Bytes, DecodeError> {
        compression::decode(self.metadata.content_encoding.as_deref(), self.bytes.clone(), limit)
    }
}
