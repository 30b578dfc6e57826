//! Hostile text as part of a key: whatever the text, it stays inside its part, and two texts never look the same.
//!
//! A text is written with `%XX` for every byte other than `A-Z a-z 0-9 . _ -`, and for a leading `.` or `_`. Two
//! forms begin with `=`, which an escaped text never holds: `=` alone is the empty text, and `=` with 64 hex
//! digits is the SHA-256 of a text whose escaped form is too long.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// The length of the form that stands for a long text; no limit can be lower.
pub(super) const HASHED: usize = 65;

/// `text` as part of a key, in at most `limit` bytes, which is at least [`HASHED`].
pub(super) fn encoded(text: &str, limit: usize) -> String {
    let escaped = escaped(text);
    if escaped.is_empty() {
        "=".to_owned()
    } else if escaped.len() <= limit {
        escaped
    } else {
        hashed(text)
    }
}

/// Two hex digits of the text's hash, to spread keys over folders.
pub(super) fn shard(text: &str) -> String {
    format!("{:02x}", Sha256::digest(text)[0])
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || byte == b'-' || (at > 0 && matches!(byte, b'.' | b'_'));
        if plain {
            out.push(char::from(byte));
        } else {
            push_escape(&mut out, byte);
        }
    }
    out
}

fn push_escape(out: &mut String, byte: u8) {
    // Writing to a String never fails.
    let _ = write!(out, "%{byte:02X}");
}

fn hashed(text: &str) -> String {
    format!("={:x}", Sha256::digest(text))
}
