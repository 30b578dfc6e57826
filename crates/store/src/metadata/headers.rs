//! Metadata as headers: names of lower-case ASCII, values of printable ASCII.

use std::{collections::BTreeMap, str::FromStr};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::Metadata;

/// What a value cannot hold as it is: what is not printable, spaces, which some stores trim, and our own `%`, `&`, `=`.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'&').add(b'=').add(b'"');

/// Why headers are not metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header `{name}`: {why}")]
pub struct InvalidHeaders {
    name: &'static str,
    why: String,
}

impl Metadata {
    /// The metadata as headers, for stores that carry it so. Values are printable ASCII; [`Metadata::from_headers`]
    /// reads them back.
    #[must_use]
    pub fn headers(&self) -> BTreeMap<String, String> {
        let attempt = self.attempt.to_string();
        let (discovered, scraped) = (self.discovered_at.to_string(), self.scraped_at.to_string());
        let always = [
            ("fleet", self.fleet.as_str()),
            ("item", self.item.as_str()),
            ("sha256", &self.sha256),
            ("type", &self.content_type),
            ("discovered-at", &discovered),
            ("scraped-at", &scraped),
            ("attempt", &attempt),
        ];
        let at_times = [("encoding", self.content_encoding.as_deref()), ("partial", self.partial.as_deref())];
        let present = at_times.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        let mut headers: BTreeMap<_, _> =
            always.into_iter().chain(present).map(|(name, value)| (name.to_owned(), escape(value))).collect();
        if !self.facts.is_empty() {
            headers.insert("facts".to_owned(), self.facts_header());
        }
        headers
    }

    fn facts_header(&self) -> String {
        let pairs = self.facts.iter().map(|(name, text)| format!("{}={}", escape(name), escape(text)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// Reads what [`Metadata::headers`] wrote; names it does not know are ignored.
    pub fn from_headers(headers: &BTreeMap<String, String>) -> Result<Self, InvalidHeaders> {
        let reader = Reader(headers);
        Ok(Self {
            fleet: reader.parsed("fleet")?,
            item: reader.parsed("item")?,
            sha256: reader.text("sha256")?,
            content_type: reader.text("type")?,
            content_encoding: reader.optional("encoding")?,
            discovered_at: reader.parsed("discovered-at")?,
            scraped_at: reader.parsed("scraped-at")?,
            attempt: reader.parsed("attempt")?,
            partial: reader.optional("partial")?,
            facts: reader.facts()?,
        })
    }
}

struct Reader<'a>(&'a BTreeMap<String, String>);

impl Reader<'_> {
    fn optional(&self, name: &'static str) -> Result<Option<String>, InvalidHeaders> {
        self.0.get(name).map(|value| unescape(name, value)).transpose()
    }

    fn text(&self, name: &'static str) -> Result<String, InvalidHeaders> {
        self.optional(name)?.ok_or_else(|| InvalidHeaders { name, why: "it is missing".to_owned() })
    }

    fn parsed<T: FromStr<Err: std::fmt::Display>>(&self, name: &'static str) -> Result<T, InvalidHeaders> {
        self.text(name)?
            .parse()
            .map_err(|error: T::Err| InvalidHeaders { name, why: cut(&error.to_string(), 300) })
    }

    fn facts(&self) -> Result<BTreeMap<String, String>, InvalidHeaders> {
        const NAME: &str = "facts";
        let Some(value) = self.0.get(NAME) else { return Ok(BTreeMap::new()) };
        let pair = |pair: &str| {
            let (name, text) = pair.split_once('=').ok_or_else(|| InvalidHeaders {
                name: NAME,
                why: format!("`{}` has no `=`", cut(pair, 80)),
            })?;
            Ok((unescape(NAME, name)?, unescape(NAME, text)?))
        };
        value.split('&').map(pair).collect()
    }
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn unescape(name: &'static str, value: &str) -> Result<String, InvalidHeaders> {
    let text = percent_decode_str(value).decode_utf8();
    text.map(String::from).map_err(|error| InvalidHeaders { name, why: error.to_string() })
}

/// `text`, cut so that it takes at most `limit` bytes as a header's value; what was cut ends in `…`.
pub(super) fn cut(text: &str, limit: usize) -> String {
    const MARK: &str = "…";
    const MARK_SIZE: usize = 9;
    let size = |character: char| escape(character.encode_utf8(&mut [0; 4])).len();
    let (mut used, mut room) = (0, 0);
    for (at, character) in text.char_indices() {
        used += size(character);
        if used > limit {
            return format!("{}{MARK}", &text[..room]);
        }
        if used <= limit - MARK_SIZE {
            room = at + character.len_utf8();
        }
    }
    text.to_owned()
}
