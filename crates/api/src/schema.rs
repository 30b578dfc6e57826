//! What the types say to the API server: cross-field rules, and a schema that it accepts.

use kube::core::Rule;
use schemars::{Schema, transform::transform_subschemas};
use serde_json::{Map, Value, json};

/// A CEL rule on the field that carries it; `allowed` says what is allowed and what to do.
pub(crate) fn rule(cel: &str, allowed: &str) -> Rule {
    Rule::new(cel).message(allowed)
}

/// A rule that bounds a [`Period`](crate::Period) field.
pub(crate) fn between(min: &str, max: &str) -> Rule {
    rule(&format!("self >= duration('{min}') && self <= duration('{max}')"), &format!("{min} to {max}"))
}

/// Makes the schema that schemars derives one that Kubernetes and people read well:
/// an optional field is left out, never null; enums list their values and say what each means;
/// defaults of objects are those of their fields, written once.
pub(crate) fn structural(schema: &mut Schema) {
    transform_subschemas(&mut structural, schema);
    let Some(object) = schema.as_object_mut() else { return };
    drop_null(object);
    list_values(object);
    share_defaults(object);
}

/// `Option<T>` is described as `T or null`; a null is the same as leaving the field out, so only `T` remains.
fn drop_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|t| t != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    let Some(Value::Array(any)) = object.get("anyOf") else { return };
    if let [Value::Object(some), null] = any.as_slice()
        && null.get("type") == Some(&json!("null"))
    {
        let some = some.clone();
        object.remove("anyOf");
        for (keyword, value) in some {
            object.entry(keyword).or_insert(value);
        }
    }
}

/// A documented enum is described as one constant a value; Kubernetes wants a list. What each value means moves into the description.
fn list_values(object: &mut Map<String, Value>) {
    let Some(Value::Array(variants)) = object.get("oneOf") else { return };
    let constants: Option<Vec<(Value, String)>> = variants
        .iter()
        .map(|v| Some((v.get("const")?.clone(), v.get("description")?.as_str()?.replace('\n', " "))))
        .collect();
    let Some(constants) = constants else { return };
    let own = object.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    let meanings = constants
        .iter()
        .map(|(value, meaning)| format!("- `{}`: {meaning}", value.as_str().unwrap_or_default()));
    let description = [own].into_iter().chain(meanings).collect::<Vec<_>>().join("\n");
    object.remove("oneOf");
    object.insert("type".into(), json!("string"));
    object.insert("description".into(), json!(description));
    object.insert("enum".into(), constants.into_iter().map(|(value, _)| value).collect());
}

/// A default that the fields' own defaults already make of an empty object is written as that empty object.
/// Not where the object has rules: the API server tries them on the default as it is written.
fn share_defaults(object: &mut Map<String, Value>) {
    let Some(default @ Value::Object(_)) = object.get("default") else { return };
    if object.contains_key("x-kubernetes-validations") {
        return;
    }
    let schema = Value::Object(object.clone());
    let mut made = json!({});
    crate::manifest::complete(&schema, &mut made);
    if made == *default {
        object.insert("default".into(), json!({}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structured(schema: Value) -> Value {
        let mut schema: Schema = schema.try_into().unwrap();
        structural(&mut schema);
        schema.to_value()
    }

    #[test]
    fn an_optional_field_is_never_null() {
        let some = json!({ "type": "object", "description": "inner", "properties": {} });
        assert_eq!(
            structured(json!({ "description": "outer", "anyOf": [some, { "type": "null" }] })),
            json!({ "description": "outer", "type": "object", "properties": {} })
        );
        assert_eq!(structured(json!({ "type": ["string", "null"] })), json!({ "type": "string" }));
    }

    #[test]
    fn an_enum_lists_its_values_and_says_what_they_mean() {
        let one = json!({ "type": "string", "const": "a", "description": "First\nof two." });
        let two = json!({ "type": "string", "const": "b", "description": "Second." });
        assert_eq!(
            structured(json!({ "description": "Either.", "oneOf": [one, two] })),
            json!({ "type": "string", "enum": ["a", "b"], "description": "Either.\n- `a`: First of two.\n- `b`: Second." })
        );
    }

    #[test]
    fn a_default_is_written_once() {
        let object = |default: Value, rules: Option<Value>| {
            let n = json!({ "type": "integer", "default": 3 });
            let mut schema = json!({ "type": "object", "properties": { "n": n }, "default": default });
            if let Some(rules) = rules {
                schema["x-kubernetes-validations"] = rules;
            }
            structured(schema)["default"].clone()
        };
        assert_eq!(object(json!({ "n": 3 }), None), json!({}));
        assert_eq!(object(json!({ "n": 4 }), None), json!({ "n": 4 }));
        assert_eq!(object(json!({ "n": 3 }), Some(json!([]))), json!({ "n": 3 }));
    }
}
