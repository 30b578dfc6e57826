//! Values that the chart must refuse: an unknown key in every object, a wrong type for every value, and a table of
//! those that are wrong in another way.

use serde_json::{Value, json};

use super::value_sets::{walk, with};

/// One mistake in the values.
#[derive(Debug)]
pub(super) struct Mistake {
    /// The values with the mistake.
    pub(super) values: Value,
    /// What the refusal must say: where the mistake is.
    place: String,
}

/// Every mistake that is tried.
pub(super) fn all(defaults: &Value) -> Vec<Mistake> {
    let mut mistakes = vec![Mistake { values: json!({"surprise": 1}), place: "'surprise'".to_owned() }];
    walk(defaults, &mut Vec::new(), &mut |path, value| mistakes.push(at(path, value)));
    mistakes.extend(WRONG.iter().map(|&(values, place)| Mistake::of(values, place)));
    mistakes
}

/// An object where there is none, and in an object a key that is not known, or not of this type.
fn at(path: &[String], value: &Value) -> Mistake {
    let surprise =
        if value.is_object() { json!({"surprise": {"surprise": 1}}) } else { json!({"surprise": 1}) };
    Mistake { values: with(&Value::Null, path, surprise), place: format!("'/{}", path.join("/")) }
}

/// Values that are wrong by their content, and what the refusal names.
const WRONG: &[(&str, &str)] = &[
    (r#"{"replicas": -1}"#, "'/replicas'"),
    (r#"{"replicas": 11}"#, "'/replicas'"),
    (r#"{"replicas": 1.5}"#, "'/replicas'"),
    (r#"{"fullnameOverride": "9lives"}"#, "'/fullnameOverride'"),
    (r#"{"watchNamespace": "Upper"}"#, "'/watchNamespace'"),
    (r#"{"image": {"repository": ""}}"#, "'/image/repository'"),
    (r#"{"image": {"repository": "has/a:tag"}}"#, "'/image/repository'"),
    (r#"{"image": {"tag": "a b"}}"#, "'/image/tag'"),
    (r#"{"image": {"digest": "sha256:12"}}"#, "'/image/digest'"),
    (r#"{"image": {"pullPolicy": "always"}}"#, "'/image/pullPolicy'"),
    (r#"{"image": null}"#, "'image'"),
    (r#"{"imagePullSecrets": ["registry"]}"#, "'/imagePullSecrets/0'"),
    (r#"{"logFormat": "xml"}"#, "'/logFormat'"),
    (r#"{"rbac": {"secrets": {"names": ["*"]}}}"#, "'/rbac/secrets/names/0'"),
    (r#"{"resources": {"limits": {"memory": "lots"}}}"#, "'/resources/limits/memory'"),
    (r#"{"resources": {"limits": {"ram": "1Gi"}}}"#, "'/resources/limits'"),
    (r#"{"podLabels": {"a": "not a label"}}"#, "'/podLabels/a'"),
    (r#"{"podLabels": {"-a": "b"}}"#, "'/podLabels'"),
    (r#"{"podDisruptionBudget": {"maxUnavailable": 0}}"#, "'/podDisruptionBudget/maxUnavailable'"),
    (r#"{"networkPolicy": {"broker": {"ports": [0]}}}"#, "'/networkPolicy/broker/ports/0'"),
    (r#"{"networkPolicy": {"metricsFrom": [{}]}}"#, "'/networkPolicy/metricsFrom/0'"),
    // Each alone is fine.
    (r#"{"watchNamespace": "a", "rbac": {"secrets": {"namespaces": ["b"]}}}"#, "rbac.secrets.namespaces"),
    (
        r#"{"networkPolicy": {"enabled": true, "fleets": {"egressOpen": false}}}"#,
        "networkPolicy.fleets.egress",
    ),
];

impl Mistake {
    fn of(values: &str, place: &str) -> Self {
        // cannot fail: a test parses all of the table.
        let values = serde_json::from_str(values).unwrap_or_default();
        Self { values, place: place.to_owned() }
    }

    /// What is wrong with Helm's answer to the mistake, if anything.
    pub(super) fn complaint(&self, answer: &Result<Vec<Value>, String>) -> Option<String> {
        match answer {
            Ok(_) => Some(format!("{} is accepted, and must be refused", self.values)),
            Err(said) if !said.contains(&self.place) => {
                Some(format!("the refusal of {} does not say {}: {said}", self.values, self.place))
            }
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_gets_its_mistake() {
        let mistakes = all(&json!({"a": {"n": 1}, "map": {}}));
        let tried: Vec<_> =
            mistakes.iter().take(4).map(|m| (m.values.to_string(), m.place.as_str())).collect();
        let expected = [
            (r#"{"surprise":1}"#, "'surprise'"),
            (r#"{"a":{"surprise":{"surprise":1}}}"#, "'/a"),
            (r#"{"a":{"n":{"surprise":1}}}"#, "'/a/n"),
            (r#"{"map":{"surprise":{"surprise":1}}}"#, "'/map"),
        ];
        assert_eq!(tried, expected.map(|(values, place)| (values.to_owned(), place)));
    }

    #[test]
    fn the_table_is_json() {
        for (values, _) in WRONG {
            assert!(serde_json::from_str::<Value>(values).is_ok(), "{values}");
        }
    }

    #[test]
    fn a_mistake_must_be_refused_by_its_place() {
        let mistake = Mistake::of(r#"{"a": 1}"#, "'/a'");
        assert_eq!(mistake.complaint(&Err("at '/a': got number".into())), None);
        assert!(mistake.complaint(&Err("at '/b': missing".into())).unwrap().contains("does not say '/a'"));
        assert!(mistake.complaint(&Ok(Vec::new())).unwrap().contains("is accepted"));
    }
}
