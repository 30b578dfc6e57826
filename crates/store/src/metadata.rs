//! What every object carries.
//!
//! Some of it is hostile: facts and the reason of a partial artifact are text from the site. [`Metadata::of`] and
//! its companions bound it, so that every store can carry it; a store refuses metadata that is out of bounds. Files
//! hold it as JSON. Where metadata travels as headers, as on S3, which wants ASCII and at most 2 KB in all, it is
//! [`Metadata::headers`]: names of lower-case ASCII, values with `%XX` for all that is not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use scrapefleet_api::{FleetName, ItemId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Key, StoreError};

mod headers;

pub use headers::InvalidHeaders;

/// The most bytes that names and values of all headers have together; S3 takes 2,048.
pub const MAX_HEADERS: usize = 2_000;

/// The most facts an object carries.
pub const MAX_FACTS: usize = 16;

/// The longest name of a fact, in bytes.
const MAX_FACT_NAME: usize = 32;

/// The longest fact and the longest reason of a partial artifact, in bytes once written as a header.
const MAX_TEXT: usize = 200;

/// The longest content type, in bytes.
const MAX_CONTENT_TYPE: usize = 200;

/// What every object carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The fleet that stored it.
    pub fleet: FleetName,
    /// The item it was taken from.
    pub item: ItemId,
    /// SHA-256 of the bytes as stored, in hex.
    pub sha256: String,
    /// Content type of the bytes once decoded.
    pub content_type: String,
    /// `gzip` when the bytes are compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// When the watcher first saw the item.
    pub discovered_at: Timestamp,
    /// When the artifact was taken.
    pub scraped_at: Timestamp,
    /// Which attempt took it, from 1.
    pub attempt: u32,
    /// Why it is only a part of what was hoped for; none: it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// Facts that the site's inspection found (`winner`, `turns`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// Where and when an object's bytes were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The fleet that stores it.
    pub fleet: FleetName,
    /// The item it was taken from.
    pub item: ItemId,
    /// When the watcher first saw the item.
    pub discovered_at: Timestamp,
    /// When the bytes were taken.
    pub scraped_at: Timestamp,
    /// Which attempt took them, from 1.
    pub attempt: u32,
}

impl Metadata {
    /// Metadata of `bytes` as they are to be stored: computes their hash. `content_type` is that of the bytes once decoded.
    #[must_use]
    pub fn of(bytes: &[u8], origin: Origin, content_type: &str) -> Self {
        Self {
            fleet: origin.fleet,
            item: origin.item,
            sha256: sha256(bytes),
            content_type: content_type.to_owned(),
            content_encoding: None,
            discovered_at: origin.discovered_at,
            scraped_at: origin.scraped_at,
            attempt: origin.attempt,
            partial: None,
            facts: BTreeMap::new(),
        }
    }

    /// Says how the bytes are encoded, as [`compression::encode`](crate::compression::encode) answers it.
    #[must_use]
    pub fn encoded(mut self, encoding: Option<&str>) -> Self {
        self.content_encoding = encoding.map(str::to_owned);
        self
    }

    /// Says why the artifact is only a part of what was hoped for; cut where it is too long.
    #[must_use]
    pub fn partial(mut self, why: Option<&str>) -> Self {
        self.partial = why.map(|why| headers::cut(why, MAX_TEXT));
        self
    }

    /// Adds facts. Text that is too long is cut and ends in `…`; facts whose name is not 1 to 32 of
    /// `A-Z a-z 0-9 _ . -`, and those that no longer fit, are left out and counted in the fact `omitted`.
    #[must_use]
    pub fn with_facts(mut self, facts: BTreeMap<String, String>) -> Self {
        let mut omitted = 0_usize;
        for (name, text) in facts {
            if !self.add_fact(&name, &text) {
                omitted += 1;
            }
        }
        if omitted > 0 {
            self.facts.insert("omitted".to_owned(), omitted.to_string());
        }
        self
    }

    /// Adds a fact unless its name is wrong or there is no room; says whether it did.
    fn add_fact(&mut self, name: &str, text: &str) -> bool {
        if !is_fact_name(name) || self.facts.len() >= MAX_FACTS - 1 {
            return false;
        }
        self.facts.insert(name.to_owned(), headers::cut(text, MAX_TEXT));
        let fits = self.headers_size() <= MAX_HEADERS - OMITTED_ROOM;
        if !fits {
            self.facts.remove(name);
        }
        fits
    }

    /// Why a store must not take `bytes` with this metadata at `key`.
    pub(crate) fn admit(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > crate::MAX_OBJECT {
            let why = format!("{key} has {} bytes, an object may have {}", bytes.len(), crate::MAX_OBJECT);
            return Err(StoreError::Refused(why));
        }
        let found = sha256(bytes);
        if found != self.sha256 {
            let why = format!("its metadata is of bytes with sha256 {}, these have {found}", self.sha256);
            return Err(StoreError::Damaged { key: key.clone(), why });
        }
        self.check().map_err(|why| StoreError::Refused(format!("the metadata of {key}: {why}")))
    }

    /// What is out of bounds, and what is allowed.
    fn check(&self) -> Result<(), String> {
        let header = |text: &str| text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if self.content_type.len() > MAX_CONTENT_TYPE || !header(&self.content_type) {
            return Err(format!(
                "the content type must be at most {MAX_CONTENT_TYPE} printable ASCII characters"
            ));
        }
        if let Some(name) = self.facts.keys().find(|name| !is_fact_name(name)) {
            let name = headers::cut(name, 80);
            return Err(format!("fact `{}`: a name is 1 to 32 of A-Z a-z 0-9 _ . -", name.escape_debug()));
        }
        let size = self.headers_size();
        if size > MAX_HEADERS {
            return Err(format!(
                "it takes {size} bytes as headers, at most {MAX_HEADERS} are allowed: give fewer facts"
            ));
        }
        Ok(())
    }

    fn headers_size(&self) -> usize {
        self.headers().iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

/// Room kept for the fact that says how many were omitted.
const OMITTED_ROOM: usize = 40;

/// SHA-256 of `bytes`, in lower-case hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn is_fact_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=MAX_FACT_NAME).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests;
