//! That the CRD is one which the parts of this module, and the API server, can work with.

use kube::core::cel::{CompiledSchema, estimate_rule_cost};
use serde_json::{Map, Value, json};

use super::{MAX_BYTES, load, load_bytes, load_recipe, structure, words};
use crate::{
    Period, bots::BotsSpec, crd, policies::PoliciesSpec, politeness::PolitenessSpec, watcher::WatcherSpec,
};

const MINIMAL: &str = "
apiVersion: scrapefleet.io/v1alpha1
kind: ScrapeFleet
metadata: {name: demo}
spec:
  site: {preset: showdown}
  queue: {embedded: {}}
  store: {directory: {}}
";

/// Calls `see` with each part of the schema and its path.
fn visit(schema: &Value, path: &str, see: &mut impl FnMut(&str, &Map<String, Value>)) {
    see(path, schema.as_object().unwrap());
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        visit(field, &format!("{path}.{name}"), see);
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(keyword) {
            visit(inner, &format!("{path}[]"), see);
        }
    }
}

#[test]
fn every_keyword_of_the_schema_is_looked_at() {
    visit(&crd::SCHEMA, "", &mut |path, schema| {
        for keyword in schema.keys() {
            assert!(structure::KEYWORDS.contains(&keyword.as_str()), "{path}: {keyword}");
        }
    });
}

#[test]
fn everything_is_bounded_and_described() {
    visit(&crd::SCHEMA, "", &mut |path, schema| {
        let has = |keyword: &str| schema.contains_key(keyword);
        assert!(has("description") || path.ends_with("[]"), "{path} has no description");
        let bounded = match schema["type"].as_str().unwrap() {
            "integer" | "number" => has("minimum") && has("maximum"),
            "string" => has("enum") || has("maxLength"),
            "array" => has("maxItems"),
            "object" => has("properties") || has("maxProperties"),
            "boolean" => true,
            other => panic!("{path} is of type {other}"),
        };
        assert!(bounded, "{path} has no bounds");
    });
}

#[test]
fn every_pattern_compiles_and_has_words() {
    let mut patterns = 0;
    visit(&crd::SCHEMA, "", &mut |path, schema| {
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
            patterns += 1;
            assert!(regex::Regex::new(pattern).is_ok(), "{path}: {pattern}");
            assert!(words::pattern(pattern).is_some(), "{path}: {pattern} has no words");
        }
    });
    assert!(patterns > 10, "{patterns}");
}

/// Calls `see` with each part of the compiled schema.
fn visit_rules(schema: &CompiledSchema, see: &mut impl FnMut(&CompiledSchema)) {
    see(schema);
    let inner = [schema.items.as_deref(), schema.additional_properties.as_deref()];
    schema.properties.values().chain(inner.into_iter().flatten()).for_each(|part| visit_rules(part, see));
}

#[test]
fn every_rule_compiles_within_the_budget_and_says_what_is_allowed() {
    let mut rules = 0;
    visit_rules(&crd::RULES, &mut |schema| {
        assert!(!schema.has_errors(), "{:?}", schema.compilation_errors());
        for rule in schema.validations.iter().flatten() {
            rules += 1;
            let text = &rule.rule.rule;
            let warnings = estimate_rule_cost(text, schema);
            assert!(warnings.is_empty(), "{text}: {warnings:?}");
            let message = rule.rule.message.as_deref().unwrap_or_default();
            assert!(!message.is_empty() && !message.contains('\n'), "{text}: {message:?}");
        }
    });
    assert!(rules > 50, "{rules}");
}

#[test]
fn a_rule_points_to_one_place_wherever_it_stands() {
    let mut places = std::collections::BTreeMap::new();
    visit_rules(&crd::RULES, &mut |schema| {
        for rule in schema.validations.iter().flatten() {
            let place = rule.rule.field_path.clone();
            let known = places.entry(rule.rule.rule.clone()).or_insert_with(|| place.clone());
            assert_eq!(*known, place, "{}", rule.rule.rule);
        }
    });
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_types() {
    let spec = load(MINIMAL, &[]).unwrap().spec;
    assert_eq!(spec.watcher, WatcherSpec::default());
    assert_eq!(spec.bots, BotsSpec::default());
    assert_eq!(spec.policies, PoliciesSpec::default());
    assert_eq!(spec.politeness, PolitenessSpec::default());
    assert_eq!(spec.drain.deadline, Period::minutes(10));
    assert!(spec.lanes.is_empty() && !spec.suspend);
    // The types alone, without the schema, come to the same.
    let alone: crate::ScrapeFleet = serde_yaml_ng::from_str(MINIMAL).unwrap();
    assert_eq!(alone.spec, spec);
}

#[test]
fn what_was_loaded_is_written_and_loaded_again() {
    let example = include_str!("../../../../examples/showdown.yaml");
    let fleet = load(example, &[]).unwrap();
    let written = serde_yaml_ng::to_string(&fleet).unwrap();
    assert_eq!(load(&written, &[]).unwrap(), fleet);
    assert!(!written.contains("null"), "{written}");
}

#[test]
fn overrides_come_before_the_checks() {
    let set = |texts: &[&str]| load(MINIMAL, &texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
    let fleet =
        set(&["spec.bots.max=4", "spec.site.url=http://127.0.0.1:8000", "spec.drain.mode=Finish"]).unwrap();
    assert_eq!(fleet.spec.bots.max, 4);
    assert_eq!(fleet.spec.site.url.as_deref(), Some("http://127.0.0.1:8000"));
    assert_eq!(set(&["metadata.name=42"]).unwrap().fleet_name().unwrap().as_str(), "42");
    let error = set(&["spec.bots.max=0"]).unwrap_err().to_string();
    assert_eq!(error, "spec.bots.max: found `0`, allowed: a whole number from 1 to 10000");
    // A later one wins; an empty one goes back to the default.
    assert_eq!(set(&["spec.bots.max=4", "spec.bots.max="]).unwrap().spec.bots.max, 1);
}

#[test]
fn what_kubectl_adds_is_let_through() {
    let dumped = MINIMAL.replace(
        "metadata: {name: demo}",
        "metadata:\n  name: demo\n  namespace: default\n  uid: 0b\n  generation: 3\n  resourceVersion: '17'\n  \
         creationTimestamp: '2026-01-01T00:00:00Z'\n  managedFields: [{manager: kubectl}]\n  annotations: {a.b/c: d}",
    ) + "status: {observedGeneration: 3}\n";
    assert_eq!(load(&dumped, &[]).unwrap().metadata.generation, Some(3));
    // What no type can hold is told by its path.
    let error = load(&dumped.replace("generation: 3", "generation: x"), &[]).unwrap_err().to_string();
    assert!(error.starts_with("metadata"), "{error}");
}

#[test]
fn a_file_is_bounded() {
    let long = format!("{MINIMAL}# {}", "x".repeat(MAX_BYTES));
    let error = load_bytes(long.as_bytes(), &[]).unwrap_err().to_string();
    assert_eq!(error, format!("manifest: found {} bytes, allowed: at most {MAX_BYTES} bytes", long.len()));
    assert_eq!(load(&long, &[]).unwrap_err().to_string(), error);
}

#[test]
fn a_byte_order_mark_and_an_empty_second_document_do_no_harm() {
    assert!(load(&format!("\u{feff}{MINIMAL}---\n"), &[]).is_ok());
    assert!(load(&format!("---{MINIMAL}...\n"), &[]).is_ok());
}

#[test]
fn the_preset_of_the_product_keeps_the_rules() {
    let recipe = load_recipe(include_str!("../../../showdown/recipe.yaml")).unwrap();
    let pattern = crate::item::IdPattern::new(&recipe.list.id_pattern).unwrap();
    assert_eq!(pattern.groups(), crate::site::Preset::Showdown.groups());
}

#[test]
fn a_recipe_inside_a_manifest_and_alone_is_told_the_same() {
    let recipe = json!({
        "mode": "tab",
        "list": { "url": "/", "item": "a", "idPattern": "x" },
        "item": { "url": "/i", "doneWhen": {}, "take": [{ "html": "b", "text": "c" }] },
    });
    let alone = load_recipe(&recipe.to_string()).unwrap_err().to_string();
    let manifest = json!({
        "apiVersion": "scrapefleet.io/v1alpha1",
        "kind": "ScrapeFleet",
        "metadata": { "name": "demo" },
        "spec": {
            "site": { "url": "http://site.example/", "recipe": recipe },
            "queue": { "embedded": {} },
            "store": { "directory": {} },
        },
    });
    let inside = load(&manifest.to_string(), &[]).unwrap_err().to_string();
    assert_eq!(inside.replace("spec.site.recipe.", ""), alone);
    assert_eq!(alone.lines().count(), 4, "{alone}");
}
