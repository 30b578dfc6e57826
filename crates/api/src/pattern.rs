//! Regular expressions of a manifest, bounded, with errors on one line.

use regex::{Regex, RegexBuilder};

use crate::id::{excerpt, tame};

/// The most memory a compiled expression may take, in bytes: `(a{1000}){1000}` is refused, not tried.
const MAX_COMPILED: usize = 1 << 20;

/// What a regular expression may be, in words.
pub(crate) const WORDS: &str =
    "a regular expression as Rust's regex crate reads it, without look-around and back-references";

/// Compiles `pattern`; the error shows it on one line with what is wrong.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build().map_err(|error| {
        let why = match error {
            regex::Error::CompiledTooBig(_) => "it becomes too large".to_owned(),
            // The library draws the expression and points at the fault; its last line says it.
            other => {
                tame(other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: "), 200)
            }
        };
        format!("{} ({why})", excerpt(pattern))
    })
}

/// An expression that nothing matches.
#[expect(clippy::expect_used, reason = "cannot fail: the expression is fixed and a test compiles it")]
pub(crate) fn never() -> Regex {
    Regex::new(r"[^\s\S]").expect("a valid expression")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line() {
        assert_eq!(compile("(a\nb").unwrap_err(), r"`(a\nb` (unclosed group)");
        assert_eq!(compile("(a{1000}){1000}").unwrap_err(), "`(a{1000}){1000}` (it becomes too large)");
    }

    #[test]
    fn never_matches() {
        for text in ["", "a", "\n", "\u{0}"] {
            assert!(!never().is_match(text));
        }
    }
}
