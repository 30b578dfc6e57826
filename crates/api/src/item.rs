//! Items as a recipe reads them: ids out of a list, and named groups out of ids.
//!
//! Everything that is made of an item (its URL, its store's key) is made of its id alone, so that a repeat, a
//! replay or another program comes to the same. So named groups are not taken from the list but from the id:
//! they lie inside the group `id` of the pattern, and the part of the pattern inside that group reads them.

use std::collections::BTreeMap;

use regex::Regex;
use regex_syntax::hir::{Capture, Hir, HirKind};

use crate::{ItemId, pattern};

/// Names that templates use for something else.
const TAKEN: [&str; 3] = ["fleet", "id", "shard"];

/// A compiled `idPattern`.
#[derive(Debug, Clone)]
pub struct IdPattern {
    whole: Regex,
    /// What stands inside `(?<id>...)`, for the whole of an id.
    inner: Regex,
    groups: Vec<String>,
}

/// Why a text is not an `idPattern`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdPattern {
    /// It is not a regular expression.
    #[error("{0}")]
    Syntax(String),
    /// It has no group `id`.
    #[error("a pattern without the group `(?<id>...)`")]
    NoId,
    /// A group stands outside the group `id`, so that it cannot be read from an id.
    #[error("the group `{0}` outside `(?<id>...)`, where an id alone does not tell it")]
    Outside(String),
    /// A group can be left out of a match.
    #[error("the group `{0}` under `?`, `*` or `|`, so that some matches lack it")]
    Optional(String),
    /// A group has the name of something else.
    #[error("the group `{0}`, whose name templates use for something else")]
    Taken(String),
}

impl InvalidIdPattern {
    /// What is allowed instead, and what to do.
    #[must_use]
    pub fn allowed(&self) -> &'static str {
        match self {
            Self::Syntax(_) => pattern::WORDS,
            Self::NoId => "a pattern with the group `(?<id>...)` around what tells items apart",
            Self::Outside(_) => {
                "named groups inside `(?<id>...)`: move it inside, or make it a group without a name"
            }
            Self::Optional(_) => {
                "named groups that are part of every match: put the `?`, `*` or `|` inside the group"
            }
            Self::Taken(_) => "other names than `fleet` and `shard`: rename the group",
        }
    }
}

/// Text of an item, by name of the group.
pub type Groups = BTreeMap<String, String>;

impl IdPattern {
    /// Compiles `text`; the error has all that is wrong with it.
    pub fn new(text: &str) -> Result<Self, Vec<InvalidIdPattern>> {
        let syntax = |error| vec![InvalidIdPattern::Syntax(error)];
        let whole = pattern::compile(text).map_err(syntax)?;
        let hir = regex_syntax::parse(text).map_err(|e| syntax(e.to_string()))?;
        let mut found = Vec::new();
        named_groups(&hir, Standing { inside: false, sure: true }, &mut found);
        let Some((id, _)) = found.iter().find(|(capture, _)| name(capture) == "id") else {
            return Err(vec![InvalidIdPattern::NoId]);
        };
        let faults: Vec<_> =
            found.iter().filter_map(|(capture, standing)| fault(name(capture), *standing)).collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let inner = pattern::compile(&format!(r"\A(?:{})\z", id.sub)).map_err(syntax)?;
        let groups = found.iter().map(|(capture, _)| name(capture)).filter(|n| *n != "id").map(str::to_owned);
        Ok(Self { whole, inner, groups: groups.collect() })
    }

    /// The names of the groups beside `id`.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Reads the attribute of a list's entry. None: the pattern does not fit, or what it found cannot be an id.
    #[must_use]
    pub fn read(&self, attribute: &str) -> Option<(ItemId, Groups)> {
        let found = self.whole.captures(attribute)?.name("id")?.as_str();
        let id = ItemId::new(found).ok()?;
        let groups = self.groups_of(&id)?;
        Some((id, groups))
    }

    /// The named groups of an id. None: it is not an id of this pattern.
    #[must_use]
    pub fn groups_of(&self, id: &ItemId) -> Option<Groups> {
        let captures = self.inner.captures(id.as_str())?;
        self.groups
            .iter()
            .map(|name| Some((name.clone(), captures.name(name)?.as_str().to_owned())))
            .collect()
    }
}

/// Where in the pattern a group stands.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// Inside the group `id`.
    inside: bool,
    /// Part of every match.
    sure: bool,
}

fn name(capture: &Capture) -> &str {
    capture.name.as_deref().unwrap_or_default()
}

fn named_groups<'h>(hir: &'h Hir, standing: Standing, found: &mut Vec<(&'h Capture, Standing)>) {
    let unsure = Standing { sure: false, ..standing };
    match hir.kind() {
        HirKind::Capture(capture) => {
            if capture.name.is_some() {
                found.push((capture, standing));
            }
            let inside = standing.inside || name(capture) == "id";
            named_groups(&capture.sub, Standing { inside, ..standing }, found);
        }
        HirKind::Repetition(repetition) if repetition.min == 0 => {
            named_groups(&repetition.sub, unsure, found);
        }
        HirKind::Repetition(repetition) => named_groups(&repetition.sub, standing, found),
        HirKind::Concat(parts) => parts.iter().for_each(|part| named_groups(part, standing, found)),
        HirKind::Alternation(parts) => parts.iter().for_each(|part| named_groups(part, unsure, found)),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => {}
    }
}

fn fault(name: &str, standing: Standing) -> Option<InvalidIdPattern> {
    let owned = name.to_owned();
    if name != "id" && TAKEN.contains(&name) {
        Some(InvalidIdPattern::Taken(owned))
    } else if name != "id" && !standing.inside {
        Some(InvalidIdPattern::Outside(owned))
    } else if !standing.sure {
        Some(InvalidIdPattern::Optional(owned))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWDOWN: &str = r"^/(?<id>battle-(?<format>[a-z0-9]+)-(?<number>[0-9]+)(?:-[a-z0-9]+pw)?)$";

    fn groups(pairs: &[(&str, &str)]) -> Groups {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn reads_ids_and_groups() {
        let pattern = IdPattern::new(SHOWDOWN).unwrap();
        assert_eq!(pattern.groups(), ["format", "number"]);
        let (id, found) = pattern.read("/battle-gen9ou-12").unwrap();
        assert_eq!(id.as_str(), "battle-gen9ou-12");
        assert_eq!(found, groups(&[("format", "gen9ou"), ("number", "12")]));
        for attribute in
            ["", "battle-gen9ou-12", "/battle-gen9ou-", "/battle-gen9ou-12/x", "/battle-GEN-1", "//"]
        {
            assert_eq!(pattern.read(attribute), None, "{attribute}");
        }
    }

    #[test]
    fn an_id_alone_tells_its_groups() {
        let pattern = IdPattern::new(SHOWDOWN).unwrap();
        let private = ItemId::new("battle-gen1ou-7-abcpw").unwrap();
        assert_eq!(pattern.groups_of(&private), Some(groups(&[("format", "gen1ou"), ("number", "7")])));
        assert_eq!(pattern.groups_of(&ItemId::new("/battle-gen1ou-7").unwrap()), None);
        assert_eq!(pattern.groups_of(&ItemId::new("other").unwrap()), None);
    }

    #[test]
    fn groups_are_those_of_the_id_even_where_the_list_would_say_otherwise() {
        // In the list the lazy group ends at the first dash that lets the rest match.
        let pattern = IdPattern::new(r"x(?<id>(?<a>.+?)(?<b>-?.*?))y").unwrap();
        let (id, found) = pattern.read("xp-qy").unwrap();
        assert_eq!(pattern.groups_of(&id), Some(found));
    }

    #[test]
    fn flags_before_the_group_count_inside_it() {
        let pattern = IdPattern::new(r"(?i)^/(?<id>item-(?<kind>[a-z]+))$").unwrap();
        let (id, found) = pattern.read("/ITEM-Abc").unwrap();
        assert_eq!((id.as_str(), found["kind"].as_str()), ("ITEM-Abc", "Abc"));
    }

    #[test]
    fn what_cannot_be_an_id_is_not_one() {
        let pattern = IdPattern::new(r"^(?<id>.*)$").unwrap();
        for attribute in ["", "a b", "<x>", "..", &"x".repeat(201)] {
            assert_eq!(pattern.read(attribute), None, "{attribute}");
        }
    }

    #[test]
    fn refuses_groups_that_an_id_does_not_tell() {
        let error = |text| IdPattern::new(text).unwrap_err();
        assert_eq!(error("(?<a>x)"), [InvalidIdPattern::NoId]);
        assert!(matches!(error("(").as_slice(), [InvalidIdPattern::Syntax(_)]));
        assert!(matches!(error(r"(?<id>a{1000}{1000})").as_slice(), [InvalidIdPattern::Syntax(_)]));
        let (outside, optional) = (InvalidIdPattern::Outside, InvalidIdPattern::Optional);
        assert_eq!(error("(?<a>x)(?<id>y)"), [outside("a".into())]);
        assert_eq!(error("(?<id>y)?"), [optional("id".into())]);
        assert_eq!(error("(?<id>y(?<a>x)?)"), [optional("a".into())]);
        assert_eq!(error("(?<id>y(?:(?<a>x)|(?<b>z)))"), [optional("a".into()), optional("b".into())]);
        assert_eq!(
            error("(?<id>(?<shard>x))(?<b>y)*"),
            [InvalidIdPattern::Taken("shard".into()), outside("b".into())]
        );
        assert!(IdPattern::new("(?<id>(?<a>x?)(?<b>y|z)+)").is_ok());
    }

    #[test]
    fn whatever_the_list_says_the_groups_are_a_function_of_the_id() {
        let pattern = IdPattern::new(r"(?<id>(?<a>[a-c]+)-?(?<b>[b-d]*))").unwrap();
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2000 {
            let attribute: String = (0..random.usize(0..12))
                .map(|_| char::from(random.choice("abcd-/".bytes()).unwrap()))
                .collect();
            if let Some((id, found)) = pattern.read(&attribute) {
                assert_eq!(pattern.groups_of(&id), Some(found), "{attribute}");
            }
        }
    }
}
