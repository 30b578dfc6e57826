//! Compares a value with the schema, field by field.
//!
//! Knows the part of JSON Schema that Kubernetes' structural schemas and our types use; a test fails when the CRD
//! uses a keyword that is not looked at here.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::LazyLock};

use regex::Regex;
use serde_json::{Map, Value};

use super::{Problem, words};
use crate::{crd, id::tame};

/// Keywords that [`check`] looks at, or that forbid nothing that is still there: nulls are dropped before.
#[cfg(test)]
pub(super) const KEYWORDS: &[&str] = &[
    "type",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "default",
    "description",
    "title",
    "format",
    "nullable",
    "x-kubernetes-validations",
];

/// Everything in `value` that `schema` does not allow.
pub(super) fn check(schema: &Value, value: &Value) -> Vec<Problem> {
    check_at(schema, value, "")
}

/// The same for a part of a document.
pub(super) fn check_at(schema: &Value, value: &Value, path: &str) -> Vec<Problem> {
    let mut walk = Walk { problems: Vec::new() };
    walk.value(schema, value, path);
    walk.problems
}

/// Joins a path and the name of a field.
pub(super) fn join(path: &str, field: &str) -> String {
    let field = tame(field, 80);
    if path.is_empty() { field } else { format!("{path}.{field}") }
}

struct Walk {
    problems: Vec<Problem>,
}

impl Walk {
    fn report(&mut self, schema: &Value, value: &Value, path: &str) {
        let path = if path.is_empty() { "manifest" } else { path };
        self.problems.push(Problem::new(path, words::found(schema, value), words::allowed(schema)));
    }

    fn value(&mut self, schema: &Value, value: &Value, path: &str) {
        if !has_type(schema, value) || !is_listed(schema, value) || !is_within(schema, value) {
            self.report(schema, value, path);
            return;
        }
        match value {
            Value::Object(fields) => self.fields(schema, fields, path),
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    if let Some(schema) = schema.get("items") {
                        self.value(schema, item, &format!("{path}[{i}]"));
                    }
                }
            }
            _ => {}
        }
    }

    fn fields(&mut self, schema: &Value, fields: &Map<String, Value>, path: &str) {
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (name, value) in fields {
            let path = join(path, name);
            match known.and_then(|k| k.get(name)).or(others) {
                Some(schema) => self.value(schema, value, &path),
                None if known.is_none() => {}
                None => {
                    let allowed = words::fields(known, name);
                    self.problems.push(Problem::new(path, "an unknown field", allowed));
                }
            }
        }
        for name in
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            if !fields.contains_key(name) {
                let allowed = known.and_then(|k| k.get(name)).map(words::allowed).unwrap_or_default();
                self.problems.push(Problem::new(
                    join(path, name),
                    "nothing",
                    format!("{allowed}; the field is required"),
                ));
            }
        }
    }
}

fn has_type(schema: &Value, value: &Value) -> bool {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => true,
    }
}

fn is_listed(schema: &Value, value: &Value) -> bool {
    schema.get("enum").and_then(Value::as_array).is_none_or(|listed| listed.contains(value))
}

fn is_within(schema: &Value, value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let bound =
                |keyword: &str, otherwise| schema.get(keyword).and_then(Value::as_f64).unwrap_or(otherwise);
            (bound("minimum", f64::MIN)..=bound("maximum", f64::MAX)).contains(&number)
        }
        Value::String(text) => {
            sizes(schema, "minLength", "maxLength").contains(&text.chars().count())
                && fits_pattern(schema, text)
        }
        Value::Array(items) => sizes(schema, "minItems", "maxItems").contains(&items.len()),
        Value::Object(fields) => sizes(schema, "minProperties", "maxProperties").contains(&fields.len()),
        _ => true,
    }
}

fn sizes(schema: &Value, min: &str, max: &str) -> RangeInclusive<usize> {
    let bound = |keyword| schema.get(keyword).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    bound(min).unwrap_or(0)..=bound(max).unwrap_or(usize::MAX)
}

/// A pattern that does not compile fits nothing; a test compiles all that the CRD has.
fn fits_pattern(schema: &Value, text: &str) -> bool {
    let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else { return true };
    PATTERNS.get(pattern).is_some_and(|pattern| pattern.is_match(text))
}

/// The patterns of the CRD, compiled once: most of them stand at many fields.
static PATTERNS: LazyLock<BTreeMap<&str, Regex>> = LazyLock::new(|| {
    let mut patterns = BTreeMap::new();
    collect_patterns(&crd::SCHEMA, &mut patterns);
    patterns
});

fn collect_patterns<'s>(schema: &'s Value, patterns: &mut BTreeMap<&'s str, Regex>) {
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && !patterns.contains_key(pattern)
        && let Ok(compiled) = Regex::new(pattern)
    {
        patterns.insert(pattern, compiled);
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let inner = [schema.get("items"), schema.get("additionalProperties")];
    for part in properties.into_iter().flat_map(|p| p.values()).chain(inner.into_iter().flatten()) {
        collect_patterns(part, patterns);
    }
}
