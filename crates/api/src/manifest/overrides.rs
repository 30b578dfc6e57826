//! Overrides on the command line: `spec.site.url=http://...`, `spec.lanes[0].weight=3`.

use serde_json::{Map, Value};

use super::{Problem, document, structure, words};
use crate::id::excerpt;

/// Puts each override into `document`; answers those that name no field or cannot be read.
pub(super) fn apply(document: &mut Value, schema: &Value, overrides: &[String]) -> Vec<Problem> {
    overrides.iter().filter_map(|text| apply_one(document, schema, text).err()).collect()
}

fn apply_one(document: &mut Value, schema: &Value, text: &str) -> Result<(), Problem> {
    let form = || {
        Problem::new(
            "override",
            excerpt(text),
            "path=value, such as `spec.bots.max=3` or `spec.lanes[0].weight=2`",
        )
    };
    let (path, value) = text.split_once('=').ok_or_else(form)?;
    let steps = steps(path).ok_or_else(form)?;
    let (place, schema) = place(document, schema, &steps)?;
    *place = parsed(schema, path, value)?;
    Ok(())
}

/// One step on the way to a field.
#[derive(Debug, PartialEq)]
enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

/// `a.b[0].c` as steps; none where it is not of that form.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, mut indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
        if name.is_empty() {
            return None;
        }
        steps.push(Step::Field(name));
        while !indexes.is_empty() {
            let (index, rest) = indexes.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            indexes = rest;
        }
    }
    Some(steps)
}

/// The place that the steps lead to, made where it is missing, and its schema.
fn place<'d, 's>(
    document: &'d mut Value,
    schema: &'s Value,
    steps: &[Step<'_>],
) -> Result<(&'d mut Value, &'s Value), Problem> {
    let (mut value, mut schema, mut path) = (document, schema, String::new());
    for step in steps {
        (value, schema, path) = match step {
            Step::Field(name) => field(value, schema, &path, name)?,
            Step::Index(index) => item(value, schema, &path, *index)?,
        };
    }
    Ok((value, schema))
}

type Place<'d, 's> = (&'d mut Value, &'s Value, String);

fn field<'d, 's>(
    value: &'d mut Value,
    schema: &'s Value,
    path: &str,
    name: &str,
) -> Result<Place<'d, 's>, Problem> {
    let known = schema.get("properties").and_then(Value::as_object);
    let inside = structure::join(path, name);
    let Some(inner) = known.and_then(|k| k.get(name)).or_else(|| schema.get("additionalProperties")) else {
        return Err(Problem::new(inside, "an override of an unknown field", words::fields(known, name)));
    };
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(fields) => Ok((fields.entry(name).or_insert(Value::Null), inner, inside)),
        other => Err(Problem::new(path, words::short(other), words::allowed(schema))),
    }
}

fn item<'d, 's>(
    value: &'d mut Value,
    schema: &'s Value,
    path: &str,
    index: usize,
) -> Result<Place<'d, 's>, Problem> {
    let inside = format!("{path}[{index}]");
    let Some(inner) = schema.get("items") else {
        return Err(Problem::new(inside, "an override of an item", words::allowed(schema)));
    };
    let length = value.as_array().map_or(0, Vec::len);
    let allowed = format!("an item that the manifest has: it has {length} there, counted from 0");
    let missing = Problem::new(&inside, "an override of a missing item", allowed);
    value.get_mut(index).map(|item| (item, inner, inside)).ok_or(missing)
}

/// The value as YAML would read it, except that a field of text takes it as it is.
fn parsed(schema: &Value, path: &str, value: &str) -> Result<Value, Problem> {
    if schema.get("type").and_then(Value::as_str) == Some("string") {
        return Ok(value.into());
    }
    if value.trim().is_empty() {
        return Ok(Value::Null);
    }
    document::read(value)
        .map_err(|problem| Problem { path: format!("override of {}", crate::id::tame(path, 80)), ..problem })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        let text = json!({ "type": "string" });
        json!({ "type": "object", "properties": {
            "text": text,
            "number": { "type": "integer" },
            "inner": { "type": "object", "properties": { "flag": { "type": "boolean" } } },
            "list": { "type": "array", "items": { "type": "object", "properties": { "text": text } } },
            "map": { "type": "object", "additionalProperties": text },
        }})
    }

    fn applied(mut document: Value, text: &str) -> Result<Value, String> {
        apply_one(&mut document, &schema(), text).map(|()| document).map_err(|p| p.to_string())
    }

    #[test]
    fn set_what_they_name() {
        for (text, expected) in [
            ("text=a=b", json!({ "text": "a=b" })),
            ("text=7", json!({ "text": "7" })),
            ("text=", json!({ "text": "" })),
            ("text=a: b", json!({ "text": "a: b" })),
            ("number=7", json!({ "number": 7 })),
            ("number=", json!({ "number": null })),
            ("inner.flag=true", json!({ "inner": { "flag": true } })),
            ("inner={flag: false}", json!({ "inner": { "flag": false } })),
            ("map.any=x", json!({ "map": { "any": "x" } })),
        ] {
            assert_eq!(applied(json!({}), text).as_ref(), Ok(&expected), "{text}");
        }
        let two = json!({ "list": [{ "text": "a" }, { "text": "b" }] });
        assert_eq!(applied(two, "list[1].text=c"), Ok(json!({ "list": [{ "text": "a" }, { "text": "c" }] })));
    }

    #[test]
    fn say_what_is_wrong_with_them() {
        for (text, expected) in [
            ("text", "override: found `text`, allowed: path=value, such as"),
            ("=1", "override: found `=1`, allowed: path=value"),
            ("a..b=1", "override: found `a..b=1`"),
            ("list[x].text=1", "override: found `list[x].text=1`"),
            ("list[1.text=1", "override: found `list[1.text=1`"),
            ("txt=1", "txt: found an override of an unknown field, allowed: `text` (did you mean that?)"),
            ("text.more=1", "text.more: found an override of an unknown field, allowed: no field here"),
            ("inner.flog=1", "inner.flog: found an override of an unknown field, allowed: `flag`"),
            (
                "list[0].text=1",
                "list[0]: found an override of a missing item, allowed: an item that the manifest has: it has 0",
            ),
            ("text[0]=1", "text[0]: found an override of an item, allowed: text"),
            ("number=[", "override of number: found YAML that cannot be read"),
        ] {
            let error = applied(json!({}), text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        let error = applied(json!({ "inner": 3 }), "inner.flag=true").unwrap_err();
        assert!(error.starts_with("inner: found `3`, allowed: a mapping with `flag`"), "{error}");
    }
}
