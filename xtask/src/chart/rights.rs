//! The rights that the chart may give: to the operator, and through Kubernetes's own roles to people. One that is not
//! in these tables has to be added here too, which is the moment to ask whether it is needed.

use serde_json::Value;

use super::objects::name;

/// Group, resource, verbs.
type Right = (&'static str, &'static str, &'static [&'static str]);

/// What the operator may be given.
const OPERATOR: &[Right] = &[
    ("scrapefleet.io", "scrapefleets", &["list", "watch", "patch"]),
    ("scrapefleet.io", "scrapefleets/status", &["patch"]),
    ("scrapefleet.io", "scrapefleets/finalizers", &["update"]),
    ("", "pods", &["list", "watch", "create", "patch", "delete"]),
    ("", "secrets", &["get"]),
    ("events.k8s.io", "events", &["create", "patch"]),
    ("coordination.k8s.io", "leases", &["get", "create", "update"]),
];

/// What people may be given.
const PEOPLE: &[Right] = &[
    (
        "scrapefleet.io",
        "scrapefleets",
        &["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"],
    ),
    ("scrapefleet.io", "scrapefleets/status", &["get"]),
    ("scrapefleet.io", "scrapefleets/scale", &["get", "update", "patch"]),
];

/// Marks a role as an addition to one of Kubernetes's own.
const AGGREGATE: &str = "rbac.authorization.k8s.io/aggregate-to-";

/// What is wrong with the roles and bindings among the objects.
pub(super) fn problems(objects: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    for object in objects {
        let of_object = match object["kind"].as_str() {
            Some("Role" | "ClusterRole") => of_role(object),
            Some("RoleBinding" | "ClusterRoleBinding") => of_binding(object, objects),
            _ => continue,
        };
        problems.extend(of_object.into_iter().map(|problem| format!("{}: {problem}", name(object))));
    }
    problems
}

fn of_role(role: &Value) -> Vec<String> {
    let labels = role["metadata"]["labels"].as_object();
    let is_for_people = labels.into_iter().flatten().any(|(label, _)| label.starts_with(AGGREGATE));
    let allowed = if is_for_people { PEOPLE } else { OPERATOR };
    let rules = role["rules"].as_array().into_iter().flatten();
    rules.flat_map(|rule| beyond(rule, allowed)).collect()
}

/// What a rule gives beyond what is allowed. A star is in no table.
fn beyond(rule: &Value, allowed: &[Right]) -> Vec<String> {
    let mut problems = Vec::new();
    for group in texts(&rule["apiGroups"]) {
        for resource in texts(&rule["resources"]) {
            for verb in texts(&rule["verbs"]) {
                let known = allowed.iter().any(|(known_group, known_resource, verbs)| {
                    *known_group == group && *known_resource == resource && verbs.contains(&verb)
                });
                if !known {
                    problems.push(format!("it gives {verb} on {resource} of {group:?}"));
                }
            }
        }
    }
    if texts(&rule["nonResourceURLs"]).next().is_some() {
        problems.push("it gives rights on addresses".to_owned());
    }
    problems
}

/// A binding joins the operator's own account to a role of this chart, in the same namespace or cluster-wide. An
/// operator of one namespace has nothing cluster-wide.
fn of_binding(binding: &Value, objects: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    let role = &binding["roleRef"];
    let there = objects.iter().any(|object| {
        object["kind"] == role["kind"]
            && object["metadata"]["name"] == role["name"]
            && object["metadata"]["namespace"] == binding["metadata"]["namespace"]
    });
    if !there {
        problems.push(format!("there is no {} {} beside it", role["kind"], role["name"]));
    }
    let Some(operator) = objects.iter().find(|object| object["kind"] == "Deployment") else {
        return problems;
    };
    let pod = &operator["spec"]["template"]["spec"];
    let subjects = binding["subjects"].as_array().map_or(&[][..], Vec::as_slice);
    let is_operator = |subject: &Value| {
        subject["kind"] == "ServiceAccount"
            && subject["name"] == pod["serviceAccountName"]
            && subject["namespace"] == operator["metadata"]["namespace"]
    };
    if subjects.is_empty() || !subjects.iter().all(is_operator) {
        problems.push("it is not for the operator's service account alone".to_owned());
    }
    let watches_one =
        texts(&pod["containers"][0]["args"]).any(|argument| argument.starts_with("--namespace="));
    if watches_one && binding["kind"] == "ClusterRoleBinding" {
        problems.push("it gives rights everywhere to an operator of one namespace".to_owned());
    }
    problems
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role(labels: &Value, rule: &Value) -> Value {
        json!({"kind": "Role", "metadata": {"name": "r", "namespace": "n", "labels": labels}, "rules": [rule]})
    }

    fn rule(group: &str, resource: &str, verb: &str) -> Value {
        json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]})
    }

    #[test]
    fn a_right_in_the_tables_is_fine_and_any_other_is_not() {
        let people = json!({"rbac.authorization.k8s.io/aggregate-to-edit": "true"});
        for (labels, rule, fine) in [
            (&json!({}), rule("", "pods", "create"), true),
            (&json!({}), rule("", "pods", "get"), false),
            (&json!({}), rule("", "secrets", "list"), false),
            (&json!({}), rule("scrapefleet.io", "scrapefleets", "get"), false),
            (&json!({}), rule("scrapefleet.io", "scrapefleets/status", "update"), false),
            (&json!({}), rule("", "*", "get"), false),
            (&json!({}), rule("*", "pods", "get"), false),
            (&json!({}), rule("", "pods", "*"), false),
            (&json!({}), rule("apps", "deployments", "create"), false),
            (&json!({}), json!({"nonResourceURLs": ["/metrics"], "verbs": ["get"]}), false),
            (&people, rule("scrapefleet.io", "scrapefleets", "delete"), true),
            (&people, rule("scrapefleet.io", "scrapefleets/status", "patch"), false),
            (&people, rule("", "secrets", "get"), false),
        ] {
            assert_eq!(problems(&[role(labels, &rule)]).is_empty(), fine, "{rule}");
        }
    }

    /// An operator in namespace `n` with this argument, its role, and a binding of the two.
    fn scene(argument: &str) -> [Value; 3] {
        let pod = json!({"serviceAccountName": "a", "containers": [{"args": [argument]}]});
        [
            json!({"kind": "Deployment", "metadata": {"name": "o", "namespace": "n"}, "spec": {"template": {"spec": pod}}}),
            role(&json!({}), &rule("", "pods", "list")),
            json!({
                "kind": "RoleBinding", "metadata": {"name": "b", "namespace": "n"},
                "roleRef": {"kind": "Role", "name": "r"},
                "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "n"}],
            }),
        ]
    }

    #[test]
    fn a_binding_is_of_the_operator_to_a_role_that_is_there() {
        assert_eq!(problems(&scene("--namespace=n")), Vec::<String>::new());
        for (pointer, value, part) in [
            ("/roleRef/name", json!("other"), "there is no"),
            ("/metadata/namespace", json!("elsewhere"), "there is no"),
            ("/subjects/0/name", json!("default"), "alone"),
            ("/subjects/0/kind", json!("Group"), "alone"),
            ("/subjects", json!([]), "alone"),
        ] {
            let mut scene = scene("--port=1");
            *scene[2].pointer_mut(pointer).unwrap() = value;
            let found = problems(&scene);
            assert!(found.len() == 1 && found[0].contains(part), "{pointer}: {found:?}");
        }
    }

    #[test]
    fn an_operator_of_one_namespace_gets_nothing_everywhere() {
        for (argument, wrong) in [("--namespace=n", true), ("--port=1", false)] {
            let mut scene = scene(argument);
            scene[1]["kind"] = json!("ClusterRole");
            scene[2]["kind"] = json!("ClusterRoleBinding");
            scene[2]["roleRef"]["kind"] = json!("ClusterRole");
            let found = problems(&scene);
            assert_eq!(found.iter().any(|problem| problem.contains("everywhere")), wrong, "{found:?}");
        }
    }
}
