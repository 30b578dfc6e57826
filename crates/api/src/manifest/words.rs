//! What was found and what is allowed, in words.

use serde_json::{Map, Value};

use crate::{
    bots::QUANTITY,
    duration::{PERIOD, PERIOD_WORDS},
    id::{DNS_LABEL, excerpt},
    pods::{IMAGE, LABEL_NAME, LABEL_VALUE},
    queue::{AMQP_URL, PATH, SECRET_NAME},
    recipe::{ATTRIBUTE, CONTENT_TYPE},
    site::HTTP_URL,
    store::{BUCKET, KEY, REGION},
};

/// What a text that fits a pattern of the schema is called.
pub(crate) fn pattern(pattern: &str) -> Option<String> {
    Some(match pattern {
        PERIOD => format!("a length of time such as {PERIOD_WORDS}"),
        DNS_LABEL => {
            "1 to 63 lower-case letters, digits and dashes, starting and ending with a letter or digit"
                .to_owned()
        }
        QUANTITY => "a quantity such as `500m`, `2` or `1Gi`, in quotes when it is a number".to_owned(),
        PATH => "a path of 1 to 255 characters without control characters".to_owned(),
        HTTP_URL => "a URL that starts with `http://` or `https://`, without spaces".to_owned(),
        AMQP_URL => "a URL that starts with `amqp://` or `amqps://`, without spaces".to_owned(),
        SECRET_NAME => "the name of a Secret: lower-case letters, digits, dashes and dots".to_owned(),
        IMAGE => "an image such as `registry.example/scrapefleet:1.0`, without spaces".to_owned(),
        LABEL_NAME => "the name of a label or taint such as `example.org/pool`".to_owned(),
        LABEL_VALUE => "a value of at most 63 letters, digits and `. _ -`".to_owned(),
        BUCKET => "a bucket's name of 3 to 63 lower-case letters, digits, dashes and dots".to_owned(),
        REGION => "a region such as `eu-central-1`".to_owned(),
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
        Some("integer") => format!("a whole number{}", range(schema)),
        Some("number") => format!("a number{}", range(schema)),
        Some("string") => sized(schema, "text", "minLength", "maxLength", " characters"),
        Some("array") => sized(schema, "a list", "minItems", "maxItems", ""),
        Some("object") => match schema.get("properties").and_then(Value::as_object) {
            Some(known) => format!("a mapping with {}", names(known)),
            None => sized(schema, "a mapping", "minProperties", "maxProperties", ""),
        },
        _ => "another value".to_owned(),
    }
}

/// ` from 1 to 5`, as far as there are bounds.
fn range(schema: &Value) -> String {
    let bound = |word: &str, keyword: &str| {
        schema.get(keyword).map_or_else(String::new, |bound| format!(" {word} {bound}"))
    };
    format!("{}{}", bound("from", "minimum"), bound("to", "maximum"))
}

/// `a list of 1 to 5`, when there is an upper bound.
fn sized(schema: &Value, what: &str, min: &str, max: &str, unit: &str) -> String {
    let Some(max) = schema.get(max) else { return what.to_owned() };
    let min = schema.get(min).and_then(Value::as_u64).unwrap_or(0);
    format!("{what} of {min} to {max}{unit}")
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
pub(crate) fn either(words: &[String]) -> String {
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
        Value::String(text) if expects("string") || schema.get("enum").is_some() => {
            excerpt(&without_password(text))
        }
        Value::String(text) => format!("the text {}", excerpt(&without_password(text))),
        Value::Number(_) if expects("string") => format!("the number `{value}`"),
        Value::Bool(_) if expects("string") => format!("the boolean `{value}`"),
        _ => short(value),
    }
}

fn most(schema: &Value) -> usize {
    schema
        .get("maxLength")
        .and_then(Value::as_u64)
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(usize::MAX)
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
pub(crate) fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://***{}", &rest[user.len()..]),
        None => text.to_owned(),
    }
}
