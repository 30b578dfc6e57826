//! The manifest's reference for people, made of the schema.

use std::fmt::Write;

use serde_json::Value;

use crate::{crd, duration::PERIOD, manifest::words};

const HEAD: &str = "\
<!-- Made by `cargo run -p scrapefleet-api --bin crdgen` from the types in crates/api: change it there. -->

# The manifest

A manifest describes one fleet, as a file for `scrapefleet run -f` or as a resource on Kubernetes. The rules are the
same in both places: `scrapefleet` and the API server read them from the same schema.

    apiVersion: scrapefleet.io/v1alpha1
    kind: ScrapeFleet
    metadata:
      name: my-fleet      # 1 to 63 lower-case letters, digits and dashes
    spec:
      ...

`examples/showdown.yaml` is a whole one, with a comment on every line. A field can be set from the command line with
its path: `--set spec.bots.holdsPerBot=50`, `--set spec.lanes[0].weight=3`. Lengths of time are written like `300ms`,
`3s`, `45m` or `1h30m`. A field that is null counts as left out.
";

/// `docs/manifest.md`: every field with its meaning, default and bounds.
#[must_use]
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    let spec = &crd::SCHEMA["properties"]["spec"];
    section(&mut page, "spec", spec);
    page
}

/// One object: what it is, its rules, a row for each field, then the objects in it.
fn section(page: &mut String, path: &str, schema: &Value) {
    // Writing to a string cannot fail.
    let _ = write!(page, "\n## {path}\n\n{}\n", text(schema, "description"));
    for rule in rules(schema) {
        let place = text(rule, "fieldPath").trim_start_matches('.');
        let place = if place.is_empty() { String::new() } else { format!("`{place}`: ") };
        let _ = write!(page, "\nRule: {place}{}.\n", text(rule, "message"));
    }
    let _ = write!(page, "\n| field | default | allowed | meaning |\n|---|---|---|---|\n");
    for (name, field) in fields(schema) {
        let _ = writeln!(
            page,
            "| `{name}` | {} | {} | {} |",
            default(schema, name, field),
            allowed(field),
            meaning(field)
        );
    }
    for (name, field) in fields(schema) {
        let (inner, suffix) = field.get("items").map_or((field, ""), |items| (items, "[]"));
        if inner.get("properties").is_some() {
            section(page, &format!("{path}.{name}{suffix}"), inner);
        }
    }
}

fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn rules(schema: &Value) -> impl Iterator<Item = &Value> {
    schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn default(parent: &Value, name: &str, field: &Value) -> String {
    let required =
        parent.get("required").and_then(Value::as_array).is_some_and(|r| r.iter().any(|n| n == name));
    match field.get("default") {
        Some(Value::Object(_)) => "see below".to_owned(),
        Some(Value::Array(_)) => "none".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{value}`"),
        None if required => "required".to_owned(),
        None => "unset".to_owned(),
    }
}

/// What the schema allows, then what the field's own rules add. Those of an object stand in its section.
fn allowed(field: &Value) -> String {
    if field.get("properties").is_some() {
        return "see below".to_owned();
    }
    let mut said: Vec<_> = rules(field).map(|rule| text(rule, "message").to_owned()).collect();
    if said.is_empty() || text(field, "pattern") != PERIOD {
        said.insert(0, words::allowed(field));
    }
    cell(&said.join("; "))
}

fn meaning(field: &Value) -> String {
    cell(text(field, "description"))
}

/// Text that stays inside its cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace("\n- ", "<br>").replace('\n', " ")
}
