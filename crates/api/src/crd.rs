//! The custom resource definition that the types make, and its schema and rules for use without an API server.

use std::sync::LazyLock;

use kube::{
    CustomResourceExt, Resource,
    core::cel::{CompiledSchema, compile_schema},
};
use serde_json::Value;

use crate::ScrapeFleet;

/// What the API server calls the version of the resource: group and version.
#[must_use]
pub fn api_version() -> String {
    ScrapeFleet::api_version(&()).into_owned()
}

/// The kind of the resource.
#[must_use]
pub fn kind() -> String {
    ScrapeFleet::kind(&()).into_owned()
}

/// The `OpenAPI` schema of the resource, as it stands in the CRD.
pub static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take();
    whole_numbers(&mut schema);
    schema
});

/// The CEL rules of the schema, compiled.
pub static RULES: LazyLock<CompiledSchema> = LazyLock::new(|| compile_schema(&SCHEMA));

/// The part of the schema that a recipe has.
#[must_use]
pub fn recipe_schema() -> &'static Value {
    &SCHEMA["properties"]["spec"]["properties"]["site"]["properties"]["recipe"]
}

/// The rules of a recipe.
#[must_use]
pub fn recipe_rules() -> &'static CompiledSchema {
    &RULES.properties["spec"].properties["site"].properties["recipe"]
}

/// The definition as YAML, as `crds/scrapefleets.yaml` has it.
#[must_use]
pub fn yaml() -> String {
    let mut definition = definition();
    whole_numbers(&mut definition);
    let body = serde_yaml_ng::to_string(&definition).unwrap_or_default();
    format!("# Made by `cargo run -p scrapefleet-api --bin crdgen` from the types in crates/api.\n{body}")
}

fn definition() -> Value {
    serde_json::to_value(ScrapeFleet::crd()).unwrap_or_default()
}

/// Bounds come out of the Kubernetes types as `1.0`; people write `1`.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let is_float = fields.get("type").is_some_and(|t| t == "number");
            for (name, field) in fields {
                // The default of a floating-point field keeps its type.
                if !(is_float && name == "default") {
                    whole_numbers(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Number(number) => {
            #[expect(clippy::cast_possible_truncation, reason = "whole and within the range of i64")]
            if let Some(whole) = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 1e15) {
                *value = Value::from(whole as i64);
            }
        }
        _ => {}
    }
}
