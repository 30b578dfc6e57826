//! Regular expressions of a manifest, bounded, with errors on one line.

use regex::{Regex, RegexBuilder};

use crate::id::tame;

/// The most memory a compiled expression may take, in bytes: `(a{1000}){1000}` is refused, not tried.
const MAX_COMPILED: usize = 1 << 20;

/// Compiles `pattern`; the error says on one line what is wrong.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "a regular expression that becomes too large".to_owned(),
        // The library draws the expression and points at the fault; its last line says it.
        other => tame(other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ")),
    })
}
