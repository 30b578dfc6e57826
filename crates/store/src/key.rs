//! Keys: made of the item's id alone, so that a repeat lands on the same key.

use std::fmt;

use jiff::Timestamp;
use scrapefleet_api::{FleetName, ItemId};
use serde::{Deserialize, Serialize};

use crate::metadata;

mod field;
mod template;

pub use template::KeyTemplate;

/// The longest key, in bytes: S3 takes 1,024, of which a prefix of the bucket's owner may need some.
pub const MAX_KEY: usize = 1_000;

/// The longest part of a key, in bytes: the longest file name that Linux's file systems take.
pub const MAX_PART: usize = 255;

/// The longest that an hour, two numbers and what is between them are as part of a key, in bytes.
const HOUR: usize = 40;

/// A key: parts joined by `/`, each 1 to 255 bytes of `A-Z a-z 0-9 . _ - % =`, none starting with `.`; 1,000 bytes at most.
///
/// Keys whose first part starts with `_` are the product's own records; a template never makes one. Parts that
/// start with `.` are left to the stores themselves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// Why a text cannot be a key or a key template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` cannot be a {what}: {allowed}")]
pub struct InvalidKey {
    what: &'static str,
    found: String,
    allowed: String,
}

impl InvalidKey {
    fn new(what: &'static str, found: &str, allowed: impl Into<String>) -> Self {
        let found = found.chars().take(80).collect::<String>().escape_debug().to_string();
        Self { what, found, allowed: allowed.into() }
    }
}

impl Key {
    /// Checks `text` and makes a key of it.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidKey> {
        let text = text.into();
        match fault(&text) {
            None => Ok(Self(text)),
            Some(allowed) => Err(InvalidKey::new("key", &text, allowed)),
        }
    }

    /// Where the record that `item` is gone is kept.
    #[must_use]
    pub fn gone(fleet: &FleetName, item: &ItemId) -> Self {
        Self(format!("_gone/{fleet}/{}", field::encoded(item.as_str(), MAX_PART)))
    }

    /// Where what was seen when `item` failed at `attempt` is kept; `name` is like `screenshot.png`.
    #[must_use]
    pub fn evidence(fleet: &FleetName, item: &ItemId, attempt: u32, name: &'static str) -> Self {
        let item = field::encoded(item.as_str(), MAX_PART);
        Self(format!("_dead/{fleet}/{item}/{attempt}/{}", field::encoded(name, MAX_PART)))
    }

    /// Where what was left of a browser is kept that bot `slot` threw away, the `nth` within the hour of `at`; `kind` is
    /// like `json`.
    #[must_use]
    pub fn post_mortem(fleet: &FleetName, slot: u32, at: Timestamp, nth: u32, kind: &'static str) -> Self {
        let (hour, kind) = (at.strftime("%Y-%m-%d/%Hh"), field::encoded(kind, MAX_PART - HOUR));
        Self(format!("{}{hour}-{slot}-{nth:02}.{kind}", Self::post_mortems(fleet)))
    }

    /// What the keys of all post-mortems of `fleet` start with; in their order they are by time.
    #[must_use]
    pub fn post_mortems(fleet: &FleetName) -> String {
        format!("_post-mortems/{fleet}/")
    }

    /// Where the record is kept that the dead letter of `item` was purged, and what it said.
    #[must_use]
    pub fn purged(fleet: &FleetName, item: &ItemId) -> Self {
        Self(format!("_purged/{fleet}/{}", field::encoded(item.as_str(), MAX_PART)))
    }

    /// The same for a letter of which not even the item could be read.
    #[must_use]
    pub fn purged_unreadable(fleet: &FleetName, letter: &str) -> Self {
        Self(format!("_unreadable/{fleet}/{}", metadata::sha256(letter.as_bytes())))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between the slashes, from the first to the last; there is at least one.
    #[must_use]
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether the key is one of the product's own records rather than an artifact.
    #[must_use]
    pub fn is_record(&self) -> bool {
        self.0.starts_with('_')
    }
}

/// What a key may be, when `text` is not one.
fn fault(text: &str) -> Option<String> {
    if text.len() > MAX_KEY {
        return Some(format!("it has {} bytes, at most {MAX_KEY} are allowed", text.len()));
    }
    text.split('/').find_map(part_fault)
}

/// What a part may be, when `part` is not one.
fn part_fault(part: &str) -> Option<String> {
    let shown = || part.chars().take(80).collect::<String>().escape_debug().to_string();
    if part.is_empty() {
        Some("parts between slashes must not be empty".to_owned())
    } else if part.len() > MAX_PART {
        Some(format!("its part `{}...` has {} bytes, at most {MAX_PART} are allowed", shown(), part.len()))
    } else if part.starts_with('.') {
        Some(format!("its part `{}` starts with a dot", shown()))
    } else if part.bytes().all(is_key_byte) {
        None
    } else {
        Some(format!("its part `{}` may use only A-Z a-z 0-9 . _ - % =", shown()))
    }
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'%' | b'=')
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Key {
    type Err = InvalidKey;
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        Self::new(text)
    }
}

impl TryFrom<String> for Key {
    type Error = InvalidKey;
    fn try_from(text: String) -> Result<Self, InvalidKey> {
        Self::new(text)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> String {
        key.0
    }
}

#[cfg(test)]
mod tests;
