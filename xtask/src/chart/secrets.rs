//! Nothing that is rendered may hold a secret: what Helm renders it also keeps, for whoever may read its releases.

use serde_json::Value;

use super::objects::name;

/// Parts of the names of what is secret, in small letters.
const TELLING: &[&str] =
    &["password", "passwd", "secretaccesskey", "secret_access_key", "apikey", "api_key", "token"];

/// Where a secret is, or may be.
pub(super) fn problems(objects: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    // The definition speaks of secrets, and holds none.
    for object in objects.iter().filter(|object| object["kind"] != "CustomResourceDefinition") {
        let mut found = Vec::new();
        search(object, "", &mut found);
        problems
            .extend(found.into_iter().map(|place| format!("{}: a secret may be at {place}", name(object))));
    }
    problems
}

fn search(value: &Value, place: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            // The environment: `name` tells what `value` is.
            let named = fields.get("name").and_then(Value::as_str).unwrap_or_default();
            if is_telling(named) && fields.get("value").is_some_and(Value::is_string) {
                found.push(format!("{place}/value"));
            }
            for (key, inner) in fields {
                let place = format!("{place}/{key}");
                if is_telling(key) && inner.is_string() {
                    found.push(place.clone());
                }
                search(inner, &place, found);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                search(inner, &format!("{place}/{index}"), found);
            }
        }
        Value::String(text) if has_credentials(text) || text.contains("-----BEGIN") => {
            found.push(place.to_owned());
        }
        _ => {}
    }
}

fn is_telling(name: &str) -> bool {
    let name = name.to_lowercase();
    TELLING.iter().any(|part| name.contains(part))
}

/// Whether there is an address with a user and a password in the text: `amqp://user:password@host`.
fn has_credentials(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
        authority.split_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_found_wherever_it_is() {
        for (object, place) in [
            (json!({"spec": {"env": [{"name": "BROKER_PASSWORD", "value": "x"}]}}), "/spec/env/0/value"),
            (json!({"data": {"secretAccessKey": "x"}}), "/data/secretAccessKey"),
            (json!({"args": ["--queue=amqp://me:secret@host/v"]}), "/args/0"),
            (json!({"tls": "-----BEGIN PRIVATE KEY-----"}), "/tls"),
        ] {
            let found = problems(std::slice::from_ref(&object));
            assert!(found.len() == 1 && found[0].ends_with(&format!(" {place}")), "{object}: {found:?}");
        }
    }

    #[test]
    fn what_only_names_a_secret_is_fine() {
        let object = json!({
            "automountServiceAccountToken": true,
            "rules": [{"resources": ["secrets"], "resourceNames": ["rabbitmq-password"]}],
            "image": "registry:5000/a@sha256:12", "url": "http://host:80/a@b:c",
            "env": [{"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        });
        assert_eq!(problems(&[object]), Vec::<String>::new());
    }

    #[test]
    fn the_definition_may_speak_of_secrets() {
        let object = json!({"kind": "CustomResourceDefinition", "description": "amqp://user:password@host"});
        assert_eq!(problems(&[object]), Vec::<String>::new());
    }
}
