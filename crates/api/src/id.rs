//! Names and ids as types of their own, checked when made: what comes from a page is hostile.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a text cannot be a name or an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {found}: {allowed}")]
pub struct InvalidId {
    what: &'static str,
    found: String,
    allowed: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path, $max:literal, $pattern:expr, $allowed:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` and makes the id of it.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                if $check(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId { what: $what, found: excerpt(&text), allowed: $allowed })
                }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "minLength": 1, "maxLength": $max, "pattern": $pattern })
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

/// The pattern of a DNS label.
pub(crate) const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// The pattern of an item's id.
pub(crate) const ITEM_ID: &str = r"^[!#-&(-;=?-\[\]-_a-~]+$";

id!(
    /// The name of a fleet: a DNS label, as Kubernetes wants it.
    FleetName, "fleet name", is_dns_label, 63, DNS_LABEL,
    "1 to 63 lower-case letters, digits and dashes, starting and ending with a letter or digit"
);
id!(
    /// The name of a lane: a DNS label.
    LaneName, "lane name", is_dns_label, 63, DNS_LABEL,
    "1 to 63 lower-case letters, digits and dashes, starting and ending with a letter or digit"
);
id!(
    /// The id of an item, unique within its fleet; read from a page, so checked before anything is done with it.
    ItemId, "item id", is_item_id, 200, ITEM_ID,
    "1 to 200 printable ASCII characters other than space, quotes, backslash and angle brackets, neither `.` nor `..`"
);

/// A hostile text for people to see: in backquotes, on one line, control characters and backquotes escaped, cut after 80 characters.
pub(crate) fn excerpt(text: &str) -> String {
    format!("`{}`", tame(text, 80))
}

/// The same without the backquotes, cut after `most` characters.
pub(crate) fn tame(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().take(most) {
        match c {
            '`' => shown.push_str("\\u{60}"),
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(most).is_some() {
        shown.push_str("...");
    }
    shown
}

/// The lane of a fleet without lanes.
impl Default for LaneName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

/// RFC 1123 label.
fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| inner(*b))
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

fn is_item_id(text: &str) -> bool {
    (1..=200).contains(&text.len())
        && !matches!(text, "." | "..") // in a path they would lead elsewhere
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'`' | b'\\' | b'<' | b'>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &[&str] = &[
        "",
        " ",
        "a b",
        "a\n",
        "\0",
        "a\tb",
        "\u{7f}",
        "é",
        "\u{202e}abc",
        "a\u{200b}",
        "'a'",
        "\"",
        "`x`",
        "a\\b",
        "<script>",
        "x>y",
        ".",
        "..",
    ];

    #[test]
    fn item_ids_keep_hostile_text_out() {
        for text in HOSTILE {
            assert!(ItemId::new(*text).is_err(), "{text:?}");
        }
        assert!(ItemId::new("x".repeat(201)).is_err());
    }

    #[test]
    fn item_ids_take_what_sites_use() {
        for text in
            ["battle-gen9randombattle-12", "a", "...", "../x", "42?page=3&x=1#top", "{id}", "%2e", "a:b;c|d~"]
        {
            assert_eq!(ItemId::new(text).unwrap().as_str(), text);
        }
        assert!(ItemId::new("x".repeat(200)).is_ok());
    }

    #[test]
    fn the_check_and_the_pattern_of_an_item_id_agree() {
        let pattern = regex::Regex::new(ITEM_ID).unwrap();
        for byte in 0..=255_u8 {
            let text = format!("a{}", char::from(byte));
            assert_eq!(ItemId::new(text.clone()).is_ok(), pattern.is_match(&text), "{text:?}");
        }
    }

    #[test]
    fn names_are_dns_labels() {
        let pattern = regex::Regex::new(DNS_LABEL).unwrap();
        for (text, good) in [
            ("a", true),
            ("a-b", true),
            ("0", true),
            ("a--b", true),
            ("-a", false),
            ("a-", false),
            ("-", false),
            ("A", false),
            ("a.b", false),
            ("a_b", false),
            ("ä", false),
            ("", false),
            ("a\n", false),
        ] {
            assert_eq!(FleetName::new(text).is_ok(), good, "{text:?}");
            assert_eq!(LaneName::new(text).is_ok(), good, "{text:?}");
            assert_eq!(pattern.is_match(text), good, "{text:?}");
        }
        assert!(FleetName::new("x".repeat(63)).is_ok());
        assert!(FleetName::new("x".repeat(64)).is_err());
    }

    #[test]
    fn what_is_refused_is_shown_escaped_and_cut() {
        let error = ItemId::new(format!("\u{1b}[31m`{}", "y".repeat(5000))).unwrap_err().to_string();
        assert!(error.starts_with("item id `\\u{1b}[31m\\u{60}yyy"), "{error}");
        assert!(error.contains("yyy...`: 1 to 200"), "{error}");
        assert!(error.len() < 300, "{error}");
        assert!(!error.contains('\n') && !error.contains('\u{1b}'));
    }

    #[test]
    fn ids_are_checked_when_read_from_json() {
        assert!(serde_json::from_str::<ItemId>("\"a b\"").is_err());
        assert_eq!(serde_json::to_string(&ItemId::new("a-1").unwrap()).unwrap(), "\"a-1\"");
    }
}
