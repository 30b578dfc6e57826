//! Names and ids as types of their own, checked when made: what comes from a page is hostile.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a text cannot be a name or an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{found}`: {allowed}")]
pub struct InvalidId {
    what: &'static str,
    found: String,
    allowed: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path, $max:literal, $pattern:literal, $allowed:literal) => {
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
                    let found = text.chars().take(80).collect::<String>().escape_debug().to_string();
                    Err(InvalidId { what: $what, found, allowed: $allowed })
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

id!(
    /// The name of a fleet: a DNS label, as Kubernetes wants it.
    FleetName, "fleet name", is_dns_label, 63, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "1 to 63 lower-case letters, digits and dashes, starting and ending with a letter or digit"
);
id!(
    /// The name of a lane: a DNS label.
    LaneName, "lane name", is_dns_label, 63, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "1 to 63 lower-case letters, digits and dashes, starting and ending with a letter or digit"
);
id!(
    /// The id of an item, unique within its fleet; read from a page, so checked before anything is done with it.
    ItemId, "item id", is_item_id, 200, "^[!#-&(-;=?-\\[\\]-_a-~]+$",
    "1 to 200 printable ASCII characters other than space, quotes, backslash and angle brackets"
);

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
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'`' | b'\\' | b'<' | b'>'))
}
