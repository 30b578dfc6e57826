//! One figure: what was measured, its bound, and how a peer did in the same run.

use std::fmt;

use serde::{Serialize, Serializer};

/// One figure of a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// The measured value.
    pub value: f64,
    /// The unit of `value` and of the bound.
    pub unit: &'static str,
    /// What the value must be; in JSON a text such as `<= 1024`.
    pub bound: Bound,
    /// Whether it is.
    pub holds: bool,
    /// What the value is compared with.
    pub peer: Option<&'static str>,
    /// The peer's value in the same unit, measured in the same run.
    pub peer_value: Option<f64>,
}

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Figure {
    /// A figure without a peer. A value that is not a number holds no bound.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str, bound: Bound) -> Self {
        let holds = bound.holds(value);
        Self { name: name.into(), value, unit, bound, holds, peer: None, peer_value: None }
    }

    /// The same beside a peer.
    #[must_use]
    pub fn beside(self, peer: &'static str, value: f64) -> Self {
        Self { peer: Some(peer), peer_value: Some(value), ..self }
    }
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::AtLeast(least) => write!(f, ">= {least}"),
        }
    }
}

impl Serialize for Bound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_holds_on_its_own_side_and_at_its_edge() {
        for (bound, value, holds) in [
            (Bound::AtMost(10.0), 10.0, true),
            (Bound::AtMost(10.0), 10.1, false),
            (Bound::AtLeast(10.0), 10.0, true),
            (Bound::AtLeast(10.0), 9.9, false),
            (Bound::AtMost(10.0), f64::NAN, false),
            (Bound::AtLeast(10.0), f64::NAN, false),
        ] {
            assert_eq!(Figure::new("n", value, "u", bound).holds, holds, "{value} {bound}");
        }
    }

    #[test]
    fn json_has_every_field_with_or_without_a_peer() {
        let alone = Figure::new("memory", 900.5, "MiB", Bound::AtMost(1024.0));
        let expected = serde_json::json!({
            "name": "memory", "value": 900.5, "unit": "MiB", "bound": "<= 1024", "holds": true,
            "peer": null, "peer_value": null
        });
        assert_eq!(serde_json::to_value(&alone).unwrap(), expected);
        let beside = serde_json::to_value(alone.beside("a peer", 2000.0)).unwrap();
        assert_eq!((&beside["peer"], &beside["peer_value"]), (&"a peer".into(), &2000.0.into()));
    }
}
