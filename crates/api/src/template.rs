//! Text with placeholders: `/items/{id}`.

use std::fmt;

use crate::{id::excerpt, manifest::words::either};

/// Text with placeholders `{name}`. Braces have no other meaning and cannot be written otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(String),
}

/// What a template may have, in words.
pub(crate) const WORDS: &str = "placeholders such as `{id}`, each closed";

/// A placeholder that nothing fills.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the placeholder `{{{name}}}`")]
pub struct UnknownName {
    name: String,
    known: String,
}

impl UnknownName {
    /// The placeholders there are, in words.
    #[must_use]
    pub fn known(&self) -> &str {
        &self.known
    }
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} with {what}")]
pub struct InvalidTemplate {
    found: String,
    what: &'static str,
}

impl Template {
    /// Reads `text`.
    pub fn new(text: &str) -> Result<Self, InvalidTemplate> {
        let refuse = |what| InvalidTemplate { found: excerpt(text), what };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            if !rest[at..].starts_with('{') {
                return Err(refuse("a `}` without a `{`"));
            }
            let (name, after) =
                rest[at + 1..].split_once('}').ok_or_else(|| refuse("a `{` without a `}`"))?;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(refuse("a placeholder whose name is not letters, digits and `_`"));
            }
            parts.extend([Part::Text(rest[..at].to_owned()), Part::Name(name.to_owned())]);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    /// The names of the placeholders, in order, repeated where they are.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Refuses the first placeholder whose name is not among `known`.
    pub fn names_only(&self, known: &[&str]) -> Result<(), UnknownName> {
        let Some(name) = self.names().find(|name| !known.contains(name)) else { return Ok(()) };
        let known: Vec<String> = known.iter().map(|name| format!("`{{{name}}}`")).collect();
        Err(UnknownName { name: name.to_owned(), known: either(&known) })
    }

    /// The text with each placeholder replaced by what `value` answers for its name.
    pub fn fill<E>(&self, mut value: impl FnMut(&str) -> Result<String, E>) -> Result<String, E> {
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => Ok(text.clone()),
                Part::Name(name) => value(name),
            })
            .collect()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Name(name) => write!(f, "{{{name}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn fills_in() {
        let shout = |name: &str| Ok::<_, Infallible>(name.to_uppercase());
        for (text, filled) in
            [("", ""), ("a", "a"), ("{id}", "ID"), ("/{a}{b}/x{a}.log", "/AB/xA.log"), ("é{id}é", "éIDé")]
        {
            let template = Template::new(text).unwrap();
            assert_eq!(template.fill(shout).unwrap(), filled);
            assert_eq!(template.to_string(), text);
        }
        assert_eq!(Template::new("{a}/{b}/{a}").unwrap().names().collect::<Vec<_>>(), ["a", "b", "a"]);
        assert_eq!(Template::new("{a}").unwrap().fill(|_| Err::<String, _>("no")), Err("no"));
    }

    #[test]
    fn refuses_what_is_not_closed_or_named() {
        for text in ["{", "}", "{id", "id}", "{}", "{a b}", "{{id}}", "{id}}", "{a-b}", "{é}"] {
            assert!(Template::new(text).is_err(), "{text}");
        }
        assert_eq!(Template::new("a{").unwrap_err().to_string(), "`a{` with a `{` without a `}`");
    }
}
