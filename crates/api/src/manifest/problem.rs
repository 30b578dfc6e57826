//! What is wrong with a manifest, for people.

use std::fmt::{self, Display};

/// One thing that is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, as in `spec.bots.max`.
    pub path: String,
    /// What was found there.
    pub found: String,
    /// What is allowed there, and what to do.
    pub allowed: String,
}

impl Problem {
    /// A problem at `path`.
    pub fn new(path: impl Display, found: impl Display, allowed: impl Display) -> Self {
        Self { path: path.to_string(), found: found.to_string(), allowed: allowed.to_string() }
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}, allowed: {}", self.path, self.found, self.allowed)
    }
}

/// All that is wrong with a manifest, one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// The most lines shown; a broken file can have thousands.
    const MOST: usize = 50;

    /// The problems in the order of their paths, and how many are not shown.
    pub(super) fn bounded(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.path.cmp(&b.path));
        problems.dedup();
        let more = problems.len().saturating_sub(Self::MOST);
        if more > 0 {
            problems.truncate(Self::MOST);
            problems.push(Problem::new(
                "manifest",
                format!("{more} more problems"),
                "none: repair those above first",
            ));
        }
        Self(problems)
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}
