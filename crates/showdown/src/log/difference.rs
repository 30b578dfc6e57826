//! Whether two logs tell the same battle.

use std::fmt;

use super::canonical;

/// The most of a line that is shown, in characters.
const SHOWN: usize = 200;

/// The first canonical line at which two logs differ. Lines are shortened to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Number of the line in the canonical form, from 1.
    pub line: usize,
    /// What the first log has there; none when it has ended.
    pub left: Option<String>,
    /// What the second log has there; none when it has ended.
    pub right: Option<String>,
}

impl std::error::Error for Difference {}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |line: &Option<String>| {
            line.as_ref().map_or_else(|| "nothing more".to_owned(), |line| format!("`{line}`"))
        };
        write!(
            f,
            "the logs differ at canonical line {}: {} and {}",
            self.line,
            shown(&self.left),
            shown(&self.right)
        )
    }
}

/// Compares two logs in their canonical form.
pub fn compare(left: &str, right: &str) -> Result<(), Difference> {
    let (mut lefts, mut rights) = (canonical(left), canonical(right));
    for line in 1.. {
        match (lefts.next(), rights.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => return Err(Difference { line, left: a.map(shortened), right: b.map(shortened) }),
        }
    }
    Ok(())
}

fn shortened(line: &str) -> String {
    line.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_difference_is_explained() {
        assert_eq!(compare("|start\n|j|A\n|turn|1", "|start\n|turn|1\n"), Ok(()));
        let text = |a, b| compare(a, b).expect_err("equal").to_string();
        assert_eq!(
            text("|start\n|turn|1", "|start\n|turn|2"),
            "the logs differ at canonical line 2: `|turn|1` and `|turn|2`"
        );
        assert_eq!(
            text("|start", "|start\n|turn|1"),
            "the logs differ at canonical line 2: nothing more and `|turn|1`"
        );
        let long = format!("|-message|{}", "é".repeat(100_000));
        assert!(text(&long, "|x").chars().count() < 300);
    }
}
