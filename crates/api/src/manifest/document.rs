//! From YAML text to one JSON value, within bounds.
//!
//! A visitor of its own instead of the library's value type, because it counts: a few lines of anchors and aliases
//! can stand for billions of values.

use std::cell::{Cell, RefCell};

use serde::de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_yaml_ng::Deserializer;

use super::{MAX_BYTES, Problem};
use crate::id::{excerpt, tame};

/// The most values (scalars, lists, mappings) in a document.
const MAX_VALUES: usize = 20_000;

/// The bytes of a file as text.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    bounded(bytes.len())?;
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = bytes[..at].split(|b| *b == b'\n').count();
        let found = format!("byte 0x{:02x}, which is not UTF-8", bytes.get(at).copied().unwrap_or_default());
        Problem::new(format!("line {line}"), found, "text in UTF-8: save the file in that encoding")
    })
}

/// The one document in `yaml`.
pub(super) fn read(yaml: &str) -> Result<Value, Problem> {
    bounded(yaml.len())?;
    let reader = Reader { left: Cell::new(MAX_VALUES), fault: RefCell::default() };
    let yaml = yaml.strip_prefix('\u{feff}').unwrap_or(yaml);
    let mut documents = Vec::new();
    for document in Deserializer::from_str(yaml) {
        match reader.deserialize(document) {
            Ok(Value::Null) => {}
            Ok(value) => documents.push(value),
            Err(error) => return Err(reader.problem(&error)),
        }
        if documents.len() > 1 {
            return Err(Problem::new(
                "manifest",
                "several documents",
                "one: keep each fleet in a file of its own",
            ));
        }
    }
    let one = documents.pop();
    one.ok_or_else(|| Problem::new("manifest", "nothing", "one document in YAML; see examples/"))
}

fn bounded(bytes: usize) -> Result<(), Problem> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(Problem::new("manifest", format!("{bytes} bytes"), format!("at most {MAX_BYTES} bytes")))
}

/// Reads values while it counts them.
struct Reader {
    left: Cell<usize>,
    /// What this reader itself refused: found, allowed.
    fault: RefCell<Option<(String, &'static str)>>,
}

impl Reader {
    /// Refuses, with words of our own.
    fn refuse<E: Error>(&self, found: String, allowed: &'static str) -> E {
        let error = E::custom(&found);
        self.fault.replace(Some((found, allowed)));
        error
    }

    fn count<E: Error>(&self) -> Result<(), E> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(self.refuse(
                format!("more than {MAX_VALUES} values"),
                "fewer; aliases count as often as they are used",
            ));
        };
        self.left.set(left);
        Ok(())
    }

    fn problem(&self, error: &serde_yaml_ng::Error) -> Problem {
        let path = error.location().map_or_else(
            || "manifest".to_owned(),
            |at| format!("line {}, column {}", at.line(), at.column()),
        );
        match self.fault.take() {
            Some((found, allowed)) => Problem::new(path, found, allowed),
            None => Problem::new(
                path,
                format!("YAML that cannot be read ({})", one_line(error)),
                "well-formed YAML",
            ),
        }
    }
}

/// The library's words without the position, which stands before them already.
fn one_line(error: &serde_yaml_ng::Error) -> String {
    let words = error.to_string();
    let words = match error.location() {
        Some(at) => words.replace(&format!(" at line {} column {}", at.line(), at.column()), ""),
        None => words,
    };
    tame(&words, 200)
}

impl<'de> DeserializeSeed<'de> for &Reader {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Reader {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text, number, boolean, list or mapping without a tag")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.count().map(|()| Value::Null)
    }

    /// What the library answers for an empty document.
    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.count().map(|()| value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.count().map(|()| value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.count().map(|()| value.into())
    }

    /// A whole number that nothing here allows; as a floating-point number it is told so at its field.
    #[expect(clippy::cast_precision_loss, reason = "it is out of every bound by far")]
    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "it is out of every bound by far")]
    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.count()?;
        if !value.is_finite() {
            return Err(self.refuse(format!("`{value}`"), "a finite number"));
        }
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.count().map(|()| value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        self.count()?;
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            list.push(value);
        }
        Ok(list.into())
    }

    /// A value with a tag, such as `!include x`.
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        let (tag, _) = access.variant::<String>()?;
        Err(self.refuse(format!("the tag {}", excerpt(&tag)), "a value without a tag"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.count()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key_seed(self)? {
            let Value::String(key) = key else {
                return Err(self.refuse(format!("the key `{key}`"), "keys that are text: write it in quotes"));
            };
            if map.contains_key(&key) {
                return Err(self.refuse(format!("the key {} a second time", excerpt(&key)), "each key once"));
            }
            map.insert(key, access.next_value_seed(self)?);
        }
        Ok(map.into())
    }
}
