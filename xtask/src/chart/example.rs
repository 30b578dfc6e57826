//! The example for Kubernetes must be the local one with another queue and another store, and its Secrets must be there
//! and hold nothing.

use serde_json::Value;

/// What stands in place of a credential.
const PLACEHOLDER: &str = "CHANGE-ME";

/// What is wrong with the examples: the local manifest, the one for Kubernetes, and its Secrets.
pub(super) fn problems(local: &Value, kubernetes: &Value, secrets: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    if alike(local) != alike(kubernetes) {
        problems.push(
            "it differs from examples/showdown.yaml elsewhere than in its queue and its store".to_owned(),
        );
    }
    for (place, keys) in [
        ("/spec/queue/rabbitmq/secretName", &["password", "username"][..]),
        ("/spec/store/s3/secretName", &["accessKeyId", "secretAccessKey"]),
    ] {
        let named = kubernetes.pointer(place);
        let secret = secrets.iter().find(|secret| Some(&secret["metadata"]["name"]) == named);
        let data = secret.and_then(|secret| secret["stringData"].as_object());
        let mut found: Vec<_> = data.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        found.sort_unstable();
        if found != keys {
            problems
                .push(format!("{place} names no Secret of secrets.yaml with the keys {}", keys.join(", ")));
        }
    }
    let values = secrets.iter().flat_map(|secret| secret["stringData"].as_object().into_iter().flatten());
    if values.into_iter().any(|(_, value)| value != PLACEHOLDER) {
        problems.push(format!("secrets.yaml has a credential that is not {PLACEHOLDER}"));
    }
    problems.into_iter().map(|problem| format!("examples/kubernetes: {problem}")).collect()
}

/// A manifest without its queue and with a store of nothing but what both stores have.
fn alike(manifest: &Value) -> Value {
    let mut manifest = manifest.clone();
    if let Some(spec) = manifest.get_mut("spec").and_then(Value::as_object_mut) {
        spec.shift_remove("queue");
        if let Some(store) = spec.get_mut("store").and_then(Value::as_object_mut) {
            store.retain(|key, _| !["directory", "s3"].contains(&key.as_str()));
        }
    }
    manifest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kubernetes() -> Value {
        json!({"spec": {
            "bots": {"max": 1},
            "queue": {"rabbitmq": {"secretName": "q"}},
            "store": {"s3": {"secretName": "s"}, "key": "{id}"},
        }})
    }

    fn local() -> Value {
        json!({"spec": {"bots": {"max": 1}, "queue": {"embedded": {}}, "store": {"directory": {}, "key": "{id}"}}})
    }

    fn secrets() -> Vec<Value> {
        let secret = |name: &str, keys: [&str; 2]| json!({"metadata": {"name": name}, "stringData": {keys[0]: PLACEHOLDER, keys[1]: PLACEHOLDER}});
        vec![secret("q", ["username", "password"]), secret("s", ["accessKeyId", "secretAccessKey"])]
    }

    #[test]
    fn another_queue_and_another_store_are_fine() {
        assert_eq!(problems(&local(), &kubernetes(), &secrets()), Vec::<String>::new());
    }

    #[test]
    fn any_other_difference_and_a_wrong_secret_are_problems() {
        for (pointer, value, part) in [
            ("/spec/bots/max", json!(2), "elsewhere"),
            ("/spec/store/key", json!("{fleet}/{id}"), "elsewhere"),
            ("/spec/queue/rabbitmq/secretName", json!("other"), "names no Secret"),
        ] {
            let mut wrong = kubernetes();
            *wrong.pointer_mut(pointer).unwrap() = value;
            let found = problems(&local(), &wrong, &secrets());
            assert!(found.len() == 1 && found[0].contains(part), "{pointer}: {found:?}");
        }
        let mut real = secrets();
        real[0]["stringData"]["password"] = json!("hunter2");
        let found = problems(&local(), &kubernetes(), &real);
        assert!(found.len() == 1 && found[0].contains("not CHANGE-ME"), "{found:?}");
    }
}
