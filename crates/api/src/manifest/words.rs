//! What was found and what is allowed, in words.

use serde_json::{Map, Value};

use crate::{
    bots::QUANTITY,
    duration::{PERIOD, PERIOD_WORDS},
    id::{DNS_LABEL, excerpt},
    queue::PATH,
    recipe::{ATTRIBUTE, CONTENT_TYPE},
    site::HTTP_URL,
    store::KEY,
};

/// What a text that fits a pattern of the schema is called.
pub(crate) fn pattern(pattern: &str) -> Option<String> {
    Some(match pattern {
        PERIOD => format!("a length of time such as {PERIOD_WORDS}"),
        DNS_LABEL => {
            "1 to 63 lower-case letters, digits and dashes, starting and ending with a letter or digit".to_owned()
        }
        QUANTITY => "a quantity such as `500m`, `2` or `1Gi`, in quotes when it is a number".to_owned(),
        PATH => "a path of 1 to 255 characters without control characters".to_owned(),
        HTTP_URL => "a URL that starts with `http://` or `https://`, without spaces".to_owned(),
        KEY => "a key of letters, digits and `. _ - % = /` with placeholders such as `{id}`".to_owned(),
        ATTRIBUTE => "the name of an attribute such as `href` or `data-id`".to_owned(),
        CONTENT_TYPE => "a content type such as `text/html; charset=utf-8`".to_owned(),
        _ => return None,
    })
}

/// What the schema of a field allows.
pub(crate) fn allowed(schema: &Value) -> String {
    if let Some(listed) = schema.get("enum").and_then(Value::as_array) {
        let listed: Vec<_> = listed.iter().map(|v| format!("`{}`", v.as_str().unwrap_or_default())).collect();
        return either(&listed);
    }
    if let Some(words) = schema.get("pattern").and_then(Value::as_str).and_then(pattern) {
        return words;
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("integer") => format!("a whole number{}", range(schema, "minimum", "maximum")),
        Some("number") => format!("a number{}", range(schema, "minimum", "maximum")),
        Some("string") => with_unit(format!("text of{}", range(schema, "minLength", "maxLength")), "characters"),
        Some("array") => match schema.get("maxItems") {
            Some(most) => format!("a list of {} to {most}", schema.get("minItems").unwrap_or(&Value::from(0))),
            None => "a list".to_owned(),
        },
        Some("object") => match schema.get("properties").and_then(Value::as_object) {
            Some(known) => format!("a mapping with {}", names(known)),
            None => match schema.get("maxProperties") {
                Some(most) => format!("a mapping of at most {most}"),
                None => "a mapping".to_owned(),
            },
        },
        _ => "another value".to_owned(),
    }
}

fn with_unit(text: String, unit: &str) -> String {
    if text.ends_with("of") { "text".to_owned() } else { format!("{text} {unit}") }
}

fn range(schema: &Value, min: &str, max: &str) -> String {
    let bound = |keyword| schema.get(keyword).and_then(Value::as_f64);
    match (bound(min), bound(max)) {
        (Some(min), Some(max)) if min == max => format!(" {min}"),
        (Some(min), Some(max)) if schema["type"] == "string" => format!(" {min} to {max}"),
        (Some(min), Some(max)) => format!(" from {min} to {max}"),
        (Some(min), None) => format!(" from {min}"),
        (None, Some(max)) => format!(" up to {max}"),
        (None, None) => String::new(),
    }
}

/// The fields there are, the one that was probably meant first.
pub(super) fn fields(known: Option<&Map<String, Value>>, name: &str) -> String {
    let Some(known) = known else { return "no field here".to_owned() };
    let meant = known
        .keys()
        .map(|k| (strsim::damerau_levenshtein(&k.to_lowercase(), &name.to_lowercase()), k))
        .min()
        .filter(|(distance, k)| *distance <= 1 + k.len().min(name.len()) / 4);
    match meant {
        Some((_, meant)) => format!("`{meant}` (did you mean that?), or one of {}", names(known)),
        None => format!("one of {}", names(known)),
    }
}

fn names(known: &Map<String, Value>) -> String {
    either(&known.keys().map(|k| format!("`{k}`")).collect::<Vec<_>>())
}

/// `a`, `a or b`, `a, b or c`.
fn either(words: &[String]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// What was found, as far as it helps to see what is wrong with it.
pub(crate) fn found(schema: &Value, value: &Value) -> String {
    let expects = |kind: &str| schema.get("type").and_then(Value::as_str) == Some(kind);
    match value {
        Value::String(text) if text.is_empty() => "an empty text".to_owned(),
        Value::String(text) if text.chars().count() > most(schema) => {
            format!("a text of {} characters", text.chars().count())
        }
        Value::String(text) if expects("string") || schema.get("enum").is_some() => excerpt(&without_password(text)),
        Value::String(text) => format!("the text {}", excerpt(&without_password(text))),
        Value::Number(_) if expects("string") => format!("the number `{value}`"),
        Value::Bool(_) if expects("string") => format!("the boolean `{value}`"),
        _ => short(value),
    }
}

fn most(schema: &Value) -> usize {
    schema.get("maxLength").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX)
}

/// A value of any kind, in a few words.
pub(crate) fn short(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
        Value::String(text) => excerpt(&without_password(text)),
        Value::Array(items) if items.is_empty() => "an empty list".to_owned(),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(fields) if fields.is_empty() => "an empty mapping".to_owned(),
        Value::Object(fields) => {
            let names: Vec<_> = fields.keys().take(8).map(|k| excerpt(k)).collect();
            let more = if fields.len() > 8 { ", ..." } else { "" };
            format!("a mapping with {}{more}", names.join(", "))
        }
    }
}

/// User name and password in a URL are hidden: error lines end up in logs.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://***{}", &rest[user.len()..]),
        None => text.to_owned(),
    }
}
