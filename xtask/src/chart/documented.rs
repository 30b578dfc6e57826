//! What people read about the values must be all of them, and true: the comments of values.yaml, the table in
//! docs/kubernetes.md, and the schema that refuses what is not in them.

use std::collections::BTreeMap;

use serde_json::Value;

/// Begins the comment of a value, as helm-docs reads it.
const MARK: &str = "# -- ";

/// Values without a comment of their own or above them.
pub(super) fn values(text: &str, defaults: &Value) -> Vec<String> {
    let said = comments(text);
    let rows = documented(&said, defaults);
    let mut problems = Vec::new();
    super::value_sets::walk(defaults, &mut Vec::new(), &mut |path, value| {
        let is_below = (1..=path.len()).any(|n| rows.contains_key(&path[..n].join(".")));
        if !is_below && !value.is_object() {
            problems
                .push(format!("values.yaml: {} has no comment that begins with `{MARK}`", path.join(".")));
        }
    });
    problems
}

/// Rows that are missing in the page's table of values.
pub(super) fn page(text: &str, defaults: &Value, page: &str) -> Vec<String> {
    let rows = documented(&comments(text), defaults);
    let row = |(path, (meaning, default)): (&String, &(String, Value))| {
        format!("| `{path}` | `{default}` | {} |", meaning.replace('|', "\\|"))
    };
    let missing = rows.iter().map(row).filter(|row| !page.lines().any(|line| line == row));
    missing.map(|row| format!("docs/kubernetes.md lacks this row: {row}")).collect()
}

/// Values that the schema does not know or values.yaml does not have, and objects that are open to any key.
pub(super) fn schema(schema: &Value, text: &str, defaults: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    open(schema, "", &mut problems);
    let rows = documented(&comments(text), defaults);
    differing(&schema["properties"], defaults, "", &rows, &mut problems);
    problems
}

/// What a chart above this one shares with all of its charts; Helm adds it by itself.
const SHARED: &str = "global";

type Rows = BTreeMap<String, (String, Value)>;

fn differing(properties: &Value, values: &Value, place: &str, rows: &Rows, problems: &mut Vec<String>) {
    let keys = |value: &Value| {
        value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    for key in keys(properties).into_iter().filter(|key| key != SHARED && values.get(key).is_none()) {
        problems.push(format!("values.yaml lacks {place}{key}, which values.schema.json has"));
    }
    for key in keys(values) {
        let path = format!("{place}{key}");
        match properties.get(&key) {
            None => problems.push(format!("values.schema.json lacks {path}, which values.yaml has")),
            Some(inner) if !rows.contains_key(&path) && values[&key].is_object() => {
                differing(&inner["properties"], &values[&key], &format!("{path}."), rows, problems);
            }
            Some(_) => {}
        }
    }
}

/// Finds objects with fields that allow other fields too.
fn open(schema: &Value, place: &str, problems: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties")
                && fields.get("additionalProperties") != Some(&Value::Bool(false))
            {
                problems.push(format!("values.schema.json: {place}/ allows keys that nobody knows"));
            }
            fields.iter().for_each(|(key, inner)| open(inner, &format!("{place}/{key}"), problems));
        }
        Value::Array(items) => items.iter().for_each(|inner| open(inner, place, problems)),
        _ => {}
    }
}

/// Rules of roles that do not say why they are there.
pub(super) fn rules(path: &str, text: &str) -> Vec<String> {
    let mut before = "";
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("- apiGroups:") && !before.starts_with('#') {
            problems.push(format!("{path}: the rule in line {} does not say why it is there", number + 1));
        }
        before = line;
    }
    problems
}

/// The documented values with their meaning and default.
fn documented(comments: &BTreeMap<String, String>, defaults: &Value) -> Rows {
    let mut rows = Rows::new();
    super::value_sets::walk(defaults, &mut Vec::new(), &mut |path, value| {
        let path = path.join(".");
        if let Some(meaning) = comments.get(&path) {
            rows.insert(path, (meaning.clone(), value.clone()));
        }
    });
    rows
}

/// The comments that document the key in the next line, by the key's path.
fn comments(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut comment = None;
    for line in text.lines() {
        let content = line.trim_start();
        if content.starts_with('#') {
            comment = content.strip_prefix(MARK);
            continue;
        }
        let Some((key, _)) = content.split_once(':') else { continue };
        let indent = line.len() - content.len();
        path.retain(|(above, _)| *above < indent);
        path.push((indent, key));
        if let Some(comment) = comment.take() {
            let keys: Vec<_> = path.iter().map(|(_, key)| *key).collect();
            found.insert(keys.join("."), comment.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const VALUES: &str = "# -- How many.\ncount: 1\n# Not a value.\nimage:\n  # -- Which | one.\n  tag: \"\"\n# -- All of it.\nmap:\n  cpu: 1\n";

    fn defaults() -> Value {
        json!({"count": 1, "image": {"tag": ""}, "map": {"cpu": 1}})
    }

    #[test]
    fn a_comment_documents_the_key_below_it_and_all_that_is_in_it() {
        assert_eq!(values(VALUES, &defaults()), Vec::<String>::new());
        let found = values(&VALUES.replace("# -- Which", "# Which"), &defaults());
        assert_eq!(found, ["values.yaml: image.tag has no comment that begins with `# -- `"]);
    }

    #[test]
    fn the_page_has_a_row_for_each_value_with_its_default() {
        let table = "| `count` | `1` | How many. |\n| `image.tag` | `\"\"` | Which \\| one. |\n| `map` | `{\"cpu\":1}` | All of it. |\n";
        assert_eq!(page(VALUES, &defaults(), table), Vec::<String>::new());
        let found = page(VALUES, &defaults(), &table.replace("`1` ", "`2` "));
        assert_eq!(found, ["docs/kubernetes.md lacks this row: | `count` | `1` | How many. |"]);
    }

    #[test]
    fn schema_and_values_have_the_same_keys_and_none_is_open() {
        let closed = json!({
            "additionalProperties": false,
            "properties": {
                "count": {}, "global": {}, "map": {"type": "object"},
                "image": {"additionalProperties": false, "properties": {"tag": {}}},
            },
        });
        assert_eq!(schema(&closed, VALUES, &defaults()), Vec::<String>::new());
        let mut wrong = closed;
        wrong["properties"]["image"] = json!({"properties": {"digest": {}}});
        let found = schema(&wrong, VALUES, &defaults());
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("/properties/image/ allows"), "{found:?}");
        assert!(found[1].contains("values.yaml lacks image.digest"), "{found:?}");
        assert!(found[2].contains("values.schema.json lacks image.tag"), "{found:?}");
    }

    #[test]
    fn a_rule_says_why_it_is_there() {
        let text = "rules:\n  # Why.\n  - apiGroups: [a]\n    verbs: [get]\n  - apiGroups: [b]\n";
        assert_eq!(rules("r.yaml", text), ["r.yaml: the rule in line 5 does not say why it is there"]);
    }
}
