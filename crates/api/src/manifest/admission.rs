//! What the API server makes of an object before it checks it.

use serde_json::{Map, Value};

/// Leaves out fields that are null, fills in the schema's defaults and gives numbers the schema's type, as the API
/// server does: a default is filled in first and then completed itself.
pub(crate) fn complete(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let known = schema.get("properties").and_then(Value::as_object);
            if let Some(known) = known {
                fill_in(known, fields);
            }
            for (name, field) in fields {
                let schema = known.and_then(|k| k.get(name)).or_else(|| schema.get("additionalProperties"));
                if let Some(schema) = schema {
                    complete(schema, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    complete(schema, item);
                }
            }
        }
        Value::Number(number) => {
            if let Some(number) = retyped(schema, number) {
                *value = number;
            }
        }
        _ => {}
    }
}

fn fill_in(known: &Map<String, Value>, fields: &mut Map<String, Value>) {
    fields.retain(|name, value| !(value.is_null() && known.contains_key(name)));
    for (name, schema) in known {
        if let Some(default) = schema.get("default")
            && !fields.contains_key(name)
        {
            fields.insert(name.clone(), default.clone());
        }
    }
}

/// `2` where the schema has floating-point numbers, `2.0` where it has whole ones: JSON knows no difference.
fn retyped(schema: &Value, number: &serde_json::Number) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: above it a double skips whole numbers
    match schema.get("type").and_then(Value::as_str) {
        Some("number") => number.as_f64().map(Value::from),
        Some("integer") => {
            let float = number.as_f64().filter(|n| number.is_f64() && n.fract() == 0.0 && n.abs() < EXACT)?;
            #[expect(clippy::cast_possible_truncation, reason = "whole and within the range of i64")]
            Some(Value::from(float as i64))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn completed(schema: &Value, mut value: Value) -> Value {
        complete(schema, &mut value);
        value
    }

    #[test]
    fn defaults_are_filled_in_at_every_depth() {
        let inner = json!({ "type": "object", "default": {}, "properties": { "n": { "type": "integer", "default": 3 } } });
        let schema = json!({
            "properties": { "a": inner, "list": { "items": inner }, "map": { "additionalProperties": inner } },
        });
        assert_eq!(completed(&schema, json!({})), json!({ "a": { "n": 3 } }));
        assert_eq!(
            completed(&schema, json!({ "a": { "n": 4 }, "list": [{}, { "n": 5 }], "map": { "k": {} } })),
            json!({ "a": { "n": 4 }, "list": [{ "n": 3 }, { "n": 5 }], "map": { "k": { "n": 3 } } })
        );
    }

    #[test]
    fn null_is_the_same_as_left_out_for_known_fields_only() {
        let schema = json!({ "properties": { "a": { "default": 1 }, "b": {} } });
        assert_eq!(
            completed(&schema, json!({ "a": null, "b": null, "c": null })),
            json!({ "a": 1, "c": null })
        );
    }

    #[test]
    fn numbers_take_the_type_of_the_schema() {
        let schema = json!({ "properties": { "f": { "type": "number" }, "i": { "type": "integer" } } });
        let value = completed(&schema, json!({ "f": 2, "i": 2.0 }));
        assert!(value["f"].is_f64() && value["i"].is_i64());
        let value = completed(&schema, json!({ "i": 2.5 }));
        assert_eq!(value["i"], json!(2.5));
        let value = completed(&schema, json!({ "i": 1e300 }));
        assert_eq!(value["i"], json!(1e300));
    }
}
