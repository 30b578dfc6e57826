//! Which objects a chart may make, and what each must have.

use std::collections::HashSet;

use serde_json::Value;

/// What there is one of in the cluster, or one of in each namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Cluster,
    Namespace,
}

/// The versions and kinds of objects that the chart may have.
const ALLOWED: &[(&str, &str, Scope)] = &[
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", Scope::Cluster),
    ("apps/v1", "Deployment", Scope::Namespace),
    ("monitoring.coreos.com/v1", "ServiceMonitor", Scope::Namespace),
    ("networking.k8s.io/v1", "NetworkPolicy", Scope::Namespace),
    ("policy/v1", "PodDisruptionBudget", Scope::Namespace),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", Scope::Cluster),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", Scope::Cluster),
    ("rbac.authorization.k8s.io/v1", "Role", Scope::Namespace),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", Scope::Namespace),
    ("v1", "Pod", Scope::Namespace),
    ("v1", "Service", Scope::Namespace),
    ("v1", "ServiceAccount", Scope::Namespace),
];

/// How long a name may be: it becomes part of labels and host names.
const LONGEST_NAME: usize = 63;

/// The object as a person names it.
pub(super) fn name(object: &Value) -> String {
    let part = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let name = format!("{} {}", part(&object["kind"]), part(&object["metadata"]["name"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{name} in {namespace}"),
        None => name,
    }
}

/// What is wrong with the objects as a whole, and with each by itself.
pub(super) fn problems(objects: &[Value]) -> Vec<String> {
    let mut problems: Vec<String> = objects.iter().flat_map(alone).collect();
    let mut known = HashSet::new();
    problems.extend(
        objects
            .iter()
            .map(name)
            .filter(|name| !known.insert(name.clone()))
            .map(|name| format!("{name}: there are two")),
    );
    let operators = objects.iter().filter(|object| object["kind"] == "Deployment").count();
    if operators != 1 {
        problems.push(format!("there are {operators} Deployments, and there must be one"));
    }
    problems
}

fn alone(object: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let mut wrong = |what: &str| problems.push(format!("{}: {what}", name(object)));
    let metadata = &object["metadata"];
    let known =
        ALLOWED.iter().find(|(version, kind, _)| object["apiVersion"] == *version && object["kind"] == *kind);
    match known {
        None => wrong(&format!("the chart may not have {} of {}", object["kind"], object["apiVersion"])),
        Some((_, _, Scope::Cluster)) if !metadata["namespace"].is_null() => {
            wrong("it is in no namespace, and names one");
        }
        Some((_, _, Scope::Namespace)) if !metadata["namespace"].is_string() => {
            wrong("it names no namespace");
        }
        Some(_) => {}
    }
    if !metadata["name"].as_str().is_some_and(|name| (1..=LONGEST_NAME).contains(&name.len())) {
        wrong("its name is missing or too long");
    }
    if metadata["labels"]["app.kubernetes.io/managed-by"] != "Helm" {
        wrong("it has no labels that say whose it is");
    }
    for place in ["labels", "annotations"] {
        if metadata[place].as_object().into_iter().flatten().any(|(_, value)| !value.is_string()) {
            wrong(&format!("not all of its {place} are text"));
        }
    }
    if object["kind"] == "Pod" && metadata["annotations"]["helm.sh/hook"] != "test" {
        wrong("a pod of its own is for `helm test` only");
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "namespace": "n", "labels": {"app.kubernetes.io/managed-by": "Helm"}},
        })
    }

    /// A Deployment with this in one place.
    fn with(pointer: &str, value: Value) -> Value {
        let mut object = deployment();
        *object.pointer_mut(pointer).unwrap() = value;
        object
    }

    #[test]
    fn an_ordinary_object_is_fine() {
        assert_eq!(problems(&[deployment()]), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_named_with_its_object() {
        for (object, part) in [
            (with("/apiVersion", json!("apps/v1beta1")), "may not have"),
            (with("/kind", json!("ConfigMap")), "may not have"),
            (with("/metadata/namespace", Value::Null), "names no namespace"),
            (with("/metadata/namespace", json!(2)), "names no namespace"),
            (with("/metadata/name", json!("a".repeat(64))), "too long"),
            (with("/metadata/labels", json!({})), "whose it is"),
            (with("/metadata/labels", json!({"app.kubernetes.io/managed-by": "Helm", "n": 1})), "are text"),
        ] {
            let found = alone(&object);
            assert!(found.len() == 1 && found[0].contains(part), "{part}: {found:?}");
        }
    }

    #[test]
    fn a_cluster_wide_object_has_no_namespace_and_a_pod_is_a_test() {
        let mut object = with("/kind", json!("ClusterRole"));
        object["apiVersion"] = json!("rbac.authorization.k8s.io/v1");
        assert!(alone(&object)[0].contains("in no namespace"));
        let mut pod = with("/kind", json!("Pod"));
        pod["apiVersion"] = json!("v1");
        assert!(alone(&pod)[0].contains("helm test"));
        pod["metadata"]["annotations"] = json!({"helm.sh/hook": "test"});
        assert_eq!(alone(&pod), Vec::<String>::new());
    }

    #[test]
    fn one_operator_and_no_object_twice() {
        assert!(problems(&[])[0].contains("0 Deployments"));
        let found = problems(&[deployment(), deployment()]);
        assert!(found[0].contains("there are two") && found[1].contains("2 Deployments"), "{found:?}");
    }
}
