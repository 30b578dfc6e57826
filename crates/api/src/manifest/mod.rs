//! Reading a manifest from a file, under the same rules as the API server's.
//!
//! The rules are written once, in the types, and come out as the CRD's schema. A file goes through the steps that
//! the API server takes with an object: it is read (`document`), completed with defaults (`admission`), checked
//! against the schema (`structure`) and against the schema's CEL rules (`rules`). What neither can say, such as
//! "this regular expression compiles", is checked after them (`semantics`); the operator runs that part too.

mod admission;
mod document;
mod overrides;
mod problem;
mod rules;
mod semantics;
mod structure;
pub(crate) mod words;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use kube::core::cel::CompiledSchema;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::rules::Documents;
use crate::{
    ScrapeFleet, crd,
    id::{DNS_LABEL, tame},
    recipe::Recipe,
};

pub(crate) use admission::complete;
pub use problem::{Problem, Problems};
pub use semantics::{check, check_recipe};

/// The largest manifest that is read, in bytes. Beyond it the API server's own limit for an object is near.
pub const MAX_BYTES: usize = 512 * 1024;

/// Reads a manifest from YAML text, applies `overrides` (`spec.site.url=http://...`) and checks everything.
pub fn load(yaml: &str, overrides: &[String]) -> Result<ScrapeFleet, Problems> {
    let mut document = document::read(yaml)?;
    kind_of(&document)?;
    let problems = overrides::apply(&mut document, &SCHEMA, overrides);
    admit(&document, &SCHEMA, &crd::RULES, check, problems)
}

/// The same for bytes as they were read from a file.
pub fn load_bytes(bytes: &[u8], overrides: &[String]) -> Result<ScrapeFleet, Problems> {
    load(document::text(bytes)?, overrides)
}

/// Reads a recipe that stands alone in YAML text, under the rules it has inside a manifest.
pub fn load_recipe(yaml: &str) -> Result<Recipe, Problems> {
    let document = document::read(yaml)?;
    admit(&document, crd::recipe_schema(), crd::recipe_rules(), check_recipe, Vec::new())
}

/// What the API server does with an object: complete it, check its structure, then its rules. Then, where the
/// structure is right, what it means.
fn admit<T: DeserializeOwned>(
    written: &Value,
    schema: &Value,
    rules: &CompiledSchema,
    meaning: fn(&T) -> Vec<Problem>,
    mut problems: Vec<Problem>,
) -> Result<T, Problems> {
    let mut document = written.clone();
    complete(schema, &mut document);
    let wrong = structure::check(schema, &document);
    let sound = wrong.is_empty();
    problems.extend(rules::check(rules, &Documents { written, complete: &document }, &wrong));
    problems.extend(wrong);
    let value = if sound { typed(document, &mut problems) } else { None };
    // What a rule has said of a field already is not said again in other words.
    let said: Vec<String> = problems.iter().map(|p| p.path.clone()).collect();
    problems.extend(value.iter().flat_map(meaning).filter(|p| !said.contains(&p.path)));
    match value {
        Some(value) if problems.is_empty() => Ok(value),
        _ => Err(Problems::bounded(problems)),
    }
}

fn typed<T: DeserializeOwned>(document: Value, problems: &mut Vec<Problem>) -> Option<T> {
    serde_path_to_error::deserialize(document)
        .map_err(|error| {
            problems.push(Problem::new(
                error.path(),
                "a value that does not fit",
                tame(&error.inner().to_string(), 200),
            ));
        })
        .ok()
}

/// Something that is no `ScrapeFleet` at all is told so, not compared field by field with one.
fn kind_of(document: &Value) -> Result<(), Problems> {
    if !document.is_object() {
        return Err(Problems(structure::check(&SCHEMA, document)));
    }
    let problems: Vec<Problem> = ["apiVersion", "kind"]
        .into_iter()
        .flat_map(|field| {
            let value = document.get(field).cloned().unwrap_or_default();
            structure::check_at(&SCHEMA["properties"][field], &value, field)
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

/// The CRD's schema with what the API server knows by itself of every object: its type and its metadata.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = crd::SCHEMA.clone();
    let properties = &mut schema["properties"];
    properties["apiVersion"] = json!({ "type": "string", "enum": [crd::api_version()] });
    properties["kind"] = json!({ "type": "string", "enum": [crd::kind()] });
    properties["metadata"] = metadata_schema();
    schema["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
    schema
});

/// What a person writes of the metadata, and, unchecked, what `kubectl get -o yaml` adds.
fn metadata_schema() -> Value {
    let texts =
        json!({ "type": "object", "additionalProperties": { "type": "string", "maxLength": 65_536 } });
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 63, "pattern": DNS_LABEL },
            "namespace": { "type": "string", "minLength": 1, "maxLength": 63, "pattern": DNS_LABEL },
            "labels": texts,
            "annotations": texts,
            "creationTimestamp": {},
            "deletionGracePeriodSeconds": {},
            "deletionTimestamp": {},
            "finalizers": {},
            "generateName": {},
            "generation": {},
            "managedFields": {},
            "ownerReferences": {},
            "resourceVersion": {},
            "selfLink": {},
            "uid": {},
        },
    })
}
