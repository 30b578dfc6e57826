//! How the key of an artifact is made from its item's id.

use std::collections::BTreeMap;

use scrapefleet_api::{FleetName, ItemId};

use super::{InvalidKey, Key, MAX_KEY, MAX_PART, field, is_key_byte};

/// How the key of an artifact is made from its item's id.
///
/// Text with `{fleet}`, `{id}`, `{shard}` (two hex digits of the id's hash) and the named groups of the recipe's
/// `idPattern`. `{id}` must be there, in a part of the key (between slashes) that holds no other placeholder than
/// `{shard}`, and so must `{fleet}` when it is used; then two items of a fleet never share a key, nor do two fleets
/// whose template has `{fleet}`. What comes from the item is escaped, so that it cannot leave its part of the key;
/// where it is too long, its hash takes its place. A group that is not there or empty is written `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTemplate {
    parts: Vec<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Fleet,
    Id,
    Shard,
    Group(String),
}

/// What placeholders stand for, for one item.
struct Values<'a> {
    fleet: &'a FleetName,
    item: &'a ItemId,
    groups: &'a BTreeMap<String, String>,
}

impl KeyTemplate {
    /// Checks the template; `groups` are the names that `{...}` may use beside `fleet`, `id` and `shard`.
    pub fn new(template: &str, groups: &[&str]) -> Result<Self, InvalidKey> {
        let parts: Result<Vec<_>, String> = template.split('/').map(|part| parse(part, groups)).collect();
        parts
            .and_then(|parts| check(&parts).map(|()| Self { parts }))
            .map_err(|allowed| InvalidKey::new("key template", template, allowed))
    }

    /// The key for an item; text from the item is escaped so that it cannot leave its part of the key.
    #[must_use]
    pub fn key(&self, fleet: &FleetName, item: &ItemId, groups: &BTreeMap<String, String>) -> Key {
        let values = Values { fleet, item, groups };
        let key = self.joined(|part| roomy(part, &values));
        Key(if key.len() <= MAX_KEY { key } else { self.joined(|part| render(part, &values, field::HASHED)) })
    }

    fn joined(&self, render: impl Fn(&[Piece]) -> String) -> String {
        self.parts.iter().map(|part| render(part)).collect::<Vec<_>>().join("/")
    }
}

/// The part with every text in full, or with long ones hashed when that is too long.
fn roomy(part: &[Piece], values: &Values<'_>) -> String {
    let full = render(part, values, MAX_PART);
    if full.len() <= MAX_PART { full } else { render(part, values, field::HASHED) }
}

fn render(part: &[Piece], values: &Values<'_>, limit: usize) -> String {
    let render = |piece: &Piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::Fleet => values.fleet.to_string(),
        Piece::Id => field::encoded(values.item.as_str(), limit),
        Piece::Shard => field::shard(values.item.as_str()),
        Piece::Group(name) => field::encoded(values.groups.get(name).map_or("", String::as_str), limit),
    };
    part.iter().map(render).collect()
}

/// The pieces of one part of the template, or what is allowed.
fn parse(part: &str, groups: &[&str]) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = part;
    while let Some((literal, after)) = rest.split_once('{') {
        let (name, after) =
            after.split_once('}').ok_or_else(|| format!("`{{` without `}}` in its part `{part}`"))?;
        push_literal(&mut pieces, literal)?;
        pieces.push(placeholder(name, groups)?);
        rest = after;
    }
    push_literal(&mut pieces, rest)?;
    if pieces.is_empty() { Err("parts between slashes must not be empty".to_owned()) } else { Ok(pieces) }
}

fn push_literal(pieces: &mut Vec<Piece>, text: &str) -> Result<(), String> {
    if !text.bytes().all(is_key_byte) {
        return Err(format!("outside of `{{...}}` only A-Z a-z 0-9 . _ - % = / are allowed, found `{text}`"));
    }
    if pieces.is_empty() && text.starts_with('.') {
        return Err(format!("no part may start with a dot, `{text}` does"));
    }
    if !text.is_empty() {
        pieces.push(Piece::Literal(text.to_owned()));
    }
    Ok(())
}

fn placeholder(name: &str, groups: &[&str]) -> Result<Piece, String> {
    match name {
        "fleet" => Ok(Piece::Fleet),
        "id" => Ok(Piece::Id),
        "shard" => Ok(Piece::Shard),
        group if groups.contains(&group) => Ok(Piece::Group(group.to_owned())),
        other => {
            let known = ["fleet", "id", "shard"].iter().chain(groups).map(|name| format!("`{{{name}}}`"));
            Err(format!("`{{{other}}}` is not known, there are {}", known.collect::<Vec<_>>().join(", ")))
        }
    }
}

fn check(parts: &[Vec<Piece>]) -> Result<(), String> {
    if matches!(parts.first().and_then(|part| part.first()), Some(Piece::Literal(text)) if text.starts_with('_'))
    {
        return Err("keys that start with `_` are kept for the product's own records".to_owned());
    }
    if !parts.iter().any(|part| part.contains(&Piece::Id)) {
        return Err("it must have `{id}`, or two items could share a key".to_owned());
    }
    parts.iter().try_for_each(|part| check_alone(part).and_then(|()| check_length(part)))?;
    let longest: usize = parts.iter().map(|part| shortest_bound(part) + 1).sum::<usize>() - 1;
    if longest > MAX_KEY {
        return Err(format!(
            "its keys could have {longest} bytes, at most {MAX_KEY} are allowed: make it shorter"
        ));
    }
    Ok(())
}

/// Placeholders next to each other can hide where one ends: `{a}-{b}` is `x-y-z` for (x, y-z) and for (x-y, z).
fn check_alone(part: &[Piece]) -> Result<(), String> {
    let count = part.iter().filter(|piece| !matches!(piece, Piece::Literal(_) | Piece::Shard)).count();
    for (piece, name) in [(Piece::Id, "{id}"), (Piece::Fleet, "{fleet}")] {
        if count > 1 && part.contains(&piece) {
            return Err(format!(
                "`{name}` must not share its part of the key with other placeholders: put a `/` between them"
            ));
        }
    }
    Ok(())
}

fn check_length(part: &[Piece]) -> Result<(), String> {
    let longest = shortest_bound(part);
    if longest > MAX_PART {
        return Err(format!(
            "one of its parts could have {longest} bytes, at most {MAX_PART} are allowed: use more `/`"
        ));
    }
    Ok(())
}

/// The most bytes a part can have once long texts are hashed.
fn shortest_bound(part: &[Piece]) -> usize {
    let length = |piece: &Piece| match piece {
        Piece::Literal(text) => text.len(),
        Piece::Fleet => 63,
        Piece::Shard => 2,
        Piece::Id | Piece::Group(_) => field::HASHED,
    };
    part.iter().map(length).sum()
}
