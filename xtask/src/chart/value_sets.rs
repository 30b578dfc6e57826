//! The values that the chart is rendered with: those of its `ci` folder, and every toggle both ways.

use std::{fmt, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// Values for one installation.
#[derive(Debug)]
pub(super) struct ValueSet {
    /// The file's name, or `the default values`.
    pub(super) name: String,
    /// What differs from values.yaml.
    pub(super) values: Value,
}

/// The set in which every value is set: the toggles that matter only beside others matter here.
const WIDEST: &str = "everything-values.yaml";

/// The default values, then each file of the folder.
pub(super) fn read(folder: &Path) -> Result<Vec<ValueSet>> {
    let mut sets = vec![ValueSet { name: DEFAULT.to_owned(), values: Value::Object(Map::new()) }];
    let entries = std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut paths: Vec<_> =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>().context("list the values")?;
    paths.sort_unstable();
    for path in paths {
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let values = serde_yaml_ng::from_str(&text).with_context(|| format!("read {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        sets.push(ValueSet { name, values });
    }
    if !sets.iter().any(|set| set.name == WIDEST) {
        bail!("{} has no {WIDEST}: toggles are tried with it", folder.display());
    }
    Ok(sets)
}

/// The name of the set that changes nothing.
const DEFAULT: &str = "the default values";

impl ValueSet {
    /// Whether every toggle is tried with these values too.
    pub(super) fn takes_toggles(&self) -> bool {
        [DEFAULT, WIDEST].contains(&self.name.as_str())
    }
}

/// A value that is true or false, by its path in values.yaml.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Toggle(Vec<String>);

impl Toggle {
    /// These values with the toggle set.
    pub(super) fn set(&self, values: &Value, on: bool) -> Value {
        with(values, &self.0, Value::Bool(on))
    }
}

impl fmt::Display for Toggle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join("."))
    }
}

/// Every toggle of values.yaml.
pub(super) fn toggles(defaults: &Value) -> Vec<Toggle> {
    let mut found = Vec::new();
    walk(defaults, &mut Vec::new(), &mut |path, value| {
        if value.is_boolean() {
            found.push(Toggle(path.to_vec()));
        }
    });
    found
}

/// Visits every value below, with its path; an object before what is in it.
pub(super) fn walk<'v>(
    value: &'v Value,
    path: &mut Vec<String>,
    visit: &mut impl FnMut(&[String], &'v Value),
) {
    for (name, inner) in value.as_object().into_iter().flatten() {
        path.push(name.clone());
        visit(path, inner);
        walk(inner, path, visit);
        path.pop();
    }
}

/// The values with this one at a path; objects on the way are made.
pub(super) fn with(values: &Value, path: &[String], new: Value) -> Value {
    let Some((first, rest)) = path.split_first() else { return new };
    let mut fields = values.as_object().cloned().unwrap_or_default();
    let inner = with(fields.get(first).unwrap_or(&Value::Null), rest, new);
    fields.insert(first.clone(), inner);
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn toggles_are_found_at_any_depth_and_set_without_touching_the_rest() {
        let defaults = json!({"a": {"on": true, "n": 1}, "b": {"c": {"on": false}}});
        let found = toggles(&defaults);
        let names: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a.on", "b.c.on"]);
        assert_eq!(
            found[1].set(&json!({"x": 1, "b": {"y": 2}}), true),
            json!({"x": 1, "b": {"y": 2, "c": {"on": true}}})
        );
    }

    #[test]
    fn the_sets_of_the_chart_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/scrapefleet/ci");
        let sets = read(&folder).unwrap();
        assert_eq!(sets.iter().filter(|set| set.takes_toggles()).count(), 2);
    }

    #[test]
    fn a_folder_without_the_widest_set_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains(WIDEST), "{error}");
    }
}
