//! Evaluates the CRD's CEL rules with the evaluator that kube has for them.

use std::collections::BTreeMap;

use kube::core::cel::{CompiledSchema, ErrorKind, ValidationError, validate_compiled};
use serde_json::Value;

use super::{Problem, words};

/// A document as it was written, to show, and as it was completed, to check.
#[derive(Debug, Clone, Copy)]
pub(super) struct Documents<'a> {
    pub(super) written: &'a Value,
    pub(super) complete: &'a Value,
}

impl Documents<'_> {
    /// What stands at `path`, in words.
    fn found(&self, path: &str) -> String {
        match (value_at(self.written, path), value_at(self.complete, path)) {
            (Some(value), _) => words::short(value),
            (None, Some(default)) => format!("{}, the default", words::short(default)),
            (None, None) => "nothing".to_owned(),
        }
    }
}

/// The rules that a document breaks. A rule that looks at a part that is structurally wrong, as `wrong` says, is
/// left out: what it would say is a consequence.
pub(super) fn check(rules: &CompiledSchema, documents: &Documents<'_>, wrong: &[Problem]) -> Vec<Problem> {
    let Err(broken) = validate_compiled(rules, documents.complete, None) else { return Vec::new() };
    let places = places(rules);
    broken
        .into_iter()
        .filter(|error| {
            let looks_at =
                places.get(&error.rule).and_then(|place| error.field_path.strip_suffix(place.as_str()));
            let looks_at = looks_at.unwrap_or(&error.field_path);
            !wrong.iter().any(|problem| is_inside(&problem.path, looks_at))
        })
        .map(|error| problem(&error, documents))
        .collect()
}

fn problem(error: &ValidationError, documents: &Documents<'_>) -> Problem {
    let path = error.field_path.trim_start_matches('.');
    let found = documents.found(path);
    let path = if path.is_empty() { "manifest" } else { path };
    match error.kind {
        ErrorKind::ValidationFailure => Problem::new(path, found, &error.message),
        // A rule of ours that cannot be evaluated; tests run every rule, so this is for versions to come.
        _ => Problem::new(path, found, format!("what the rule `{}` says: {}", error.rule, error.message)),
    }
}

/// Where each rule points, relative to the part it looks at.
fn places(rules: &CompiledSchema) -> BTreeMap<String, String> {
    let mut places = BTreeMap::new();
    let mut stack = vec![rules];
    while let Some(schema) = stack.pop() {
        for rule in schema.validations.iter().flatten() {
            if let Some(place) = &rule.rule.field_path {
                places.insert(rule.rule.rule.clone(), place.clone());
            }
        }
        stack.extend(schema.properties.values());
        stack.extend(schema.items.as_deref());
        stack.extend(schema.additional_properties.as_deref());
    }
    places
}

/// Whether `path` is `part` or lies inside it.
fn is_inside(path: &str, part: &str) -> bool {
    path.strip_prefix(part)
        .is_some_and(|rest| part.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The value at a path such as `spec.lanes[0].name`.
fn value_at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let pointer = path.replace(['.', '['], "/").replace(']', "");
    if pointer.is_empty() { Some(document) } else { document.pointer(&format!("/{pointer}")) }
}
