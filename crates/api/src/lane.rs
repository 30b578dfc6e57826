//! Lanes of the queue.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ItemId, LaneName, pattern};

/// One lane: items of a kind that must not wait behind those of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LaneSpec {
    /// The lane's name.
    pub name: LaneName,
    /// Its share of a bot's holds, relative to the other lanes. Every lane keeps at least one hold free of the others.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// Regular expression on the item's id; without it the lane takes every item.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub matches: Option<String>,
}

fn one() -> i32 {
    1
}

/// The lanes of a fleet, ready to take items. Every item has one.
#[derive(Debug, Clone)]
pub struct Lanes(Vec<Lane>);

/// One lane, ready to take items.
#[derive(Debug, Clone)]
pub struct Lane {
    /// The lane's name.
    pub name: LaneName,
    /// Its share of a bot's holds, relative to the other lanes; at least 1.
    pub weight: u32,
    matches: Option<Regex>,
}

/// A lane's `match` that does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("lane {lane}: `match` cannot be used: {why}")]
pub struct InvalidLane {
    lane: LaneName,
    why: String,
}

impl Lanes {
    /// Compiles the lanes of a manifest. Without a last lane for every item, as a manifest without lanes has none,
    /// `default` of weight 1 is added.
    pub fn new(specs: &[LaneSpec]) -> Result<Self, InvalidLane> {
        let mut lanes = specs.iter().map(Lane::new).collect::<Result<Vec<_>, _>>()?;
        if lanes.last().is_none_or(|lane| lane.matches.is_some()) {
            lanes.push(Lane { name: LaneName::default(), weight: 1, matches: None });
        }
        Ok(Self(lanes))
    }

    /// The lanes in the order in which they are tried; never empty.
    #[must_use]
    pub fn all(&self) -> &[Lane] {
        &self.0
    }

    /// The lane an item goes to: the first that takes it.
    #[must_use]
    pub fn lane_for(&self, item: &ItemId) -> &Lane {
        let (last, others) =
            self.0.split_last().unwrap_or_else(|| unreachable!("`new` puts a lane at the end"));
        others.iter().find(|lane| lane.takes(item)).unwrap_or(last)
    }
}

impl Lane {
    fn new(spec: &LaneSpec) -> Result<Self, InvalidLane> {
        let compile = |text: &String| {
            pattern::compile(text).map_err(|why| InvalidLane { lane: spec.name.clone(), why })
        };
        let matches = spec.matches.as_ref().map(compile).transpose()?;
        Ok(Self { name: spec.name.clone(), weight: u32::try_from(spec.weight).unwrap_or(1).max(1), matches })
    }

    fn takes(&self, item: &ItemId) -> bool {
        self.matches.as_ref().is_none_or(|pattern| pattern.is_match(item.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &str, matches: Option<&str>) -> LaneSpec {
        LaneSpec { name: LaneName::new(name).unwrap(), weight: 2, matches: matches.map(str::to_owned) }
    }

    fn name_for<'a>(lanes: &'a Lanes, id: &str) -> &'a str {
        lanes.lane_for(&ItemId::new(id).unwrap()).name.as_str()
    }

    #[test]
    fn the_first_lane_that_takes_an_item_has_it() {
        let specs = [lane("quick", Some("random")), lane("nine", Some("^battle-gen9")), lane("rest", None)];
        let lanes = Lanes::new(&specs).unwrap();
        assert_eq!(name_for(&lanes, "battle-gen9randombattle-1"), "quick");
        assert_eq!(name_for(&lanes, "battle-gen9ou-1"), "nine");
        assert_eq!(name_for(&lanes, "battle-gen1ou-1"), "rest");
        assert_eq!(lanes.all().iter().map(|l| l.weight).collect::<Vec<_>>(), [2, 2, 2]);
    }

    #[test]
    fn every_item_has_a_lane_whatever_the_manifest_says() {
        for specs in [vec![], vec![lane("a", Some("^x"))]] {
            let lanes = Lanes::new(&specs).unwrap();
            assert_eq!(name_for(&lanes, "y"), "default");
        }
        let lanes = Lanes::new(&[lane("a", None), lane("b", Some("y"))]).unwrap();
        assert_eq!(name_for(&lanes, "y"), "a");
    }

    #[test]
    fn a_lane_that_does_not_compile_is_named() {
        let error = Lanes::new(&[lane("bad", Some("("))]).unwrap_err().to_string();
        assert_eq!(error, "lane bad: `match` cannot be used: `(` (unclosed group)");
    }
}
