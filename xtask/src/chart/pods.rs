//! Every pod must satisfy the `restricted` pod security standard, and a little more.
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use serde_json::Value;

use super::objects::name;

/// Kinds of volumes that the standard allows.
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What is wrong with the pods of the objects.
pub(super) fn problems(objects: &[Value]) -> Vec<String> {
    objects.iter().flat_map(of_object).collect()
}

fn of_object(object: &Value) -> Vec<String> {
    let pod = match object["kind"].as_str() {
        Some("Pod") => &object["spec"],
        Some("Deployment") => &object["spec"]["template"]["spec"],
        _ => return Vec::new(),
    };
    let mut problems = of_pod(pod);
    // Only the operator talks to the API server.
    if pod["automountServiceAccountToken"] != (object["kind"] == "Deployment") {
        problems.push("the operator has a token and nothing else has, and this pod differs".to_owned());
    }
    problems.into_iter().map(|problem| format!("{}: {problem}", name(object))).collect()
}

fn of_pod(pod: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for shared in ["hostNetwork", "hostPID", "hostIPC"] {
        if !matches!(pod[shared], Value::Null | Value::Bool(false)) {
            problems.push(format!("it has {shared}"));
        }
    }
    for volume in items(&pod["volumes"]) {
        let kinds = volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        for kind in kinds.filter(|kind| *kind != "name" && !VOLUMES.contains(kind)) {
            problems.push(format!("it has a volume of kind {kind}"));
        }
    }
    let containers: Vec<_> = ["containers", "initContainers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|kind| items(&pod[kind]))
        .collect();
    if containers.is_empty() {
        problems.push("it has no container".to_owned());
    }
    for container in containers {
        let of_container = of_container(container, &pod["securityContext"]);
        problems
            .extend(of_container.into_iter().map(|what| format!("container {}: {what}", container["name"])));
    }
    problems
}

fn of_container(container: &Value, pod: &Value) -> Vec<&'static str> {
    let own = &container["securityContext"];
    let setting = |key: &str| if own[key].is_null() { &pod[key] } else { &own[key] };
    let capabilities = &own["capabilities"];
    let ports = items(&container["ports"]);
    [
        (own["allowPrivilegeEscalation"] == false, "it may gain privileges"),
        (own["privileged"].is_null() || own["privileged"] == false, "it is privileged"),
        (own["procMount"].is_null() || own["procMount"] == "Default", "it sees all of /proc"),
        (own["readOnlyRootFilesystem"] == true, "it may write to its image"),
        (*setting("runAsNonRoot") == true, "it may run as root"),
        (*setting("runAsUser") != 0, "it runs as root"),
        (items(&capabilities["drop"]).any(|name| name == "ALL"), "it does not drop ALL capabilities"),
        (items(&capabilities["add"]).all(|name| name == "NET_BIND_SERVICE"), "it adds capabilities"),
        (
            ["RuntimeDefault", "Localhost"].iter().any(|kind| setting("seccompProfile")["type"] == *kind),
            "it has no seccomp profile",
        ),
        ({ ports }.all(|port| port["hostPort"].is_null()), "it has a port of the node"),
        (container["resources"]["requests"]["memory"].is_string(), "it requests no memory"),
        (container["resources"]["limits"]["memory"].is_string(), "it has no limit of memory"),
    ]
    .into_iter()
    .filter_map(|(fine, problem)| (!fine).then_some(problem))
    .collect()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {
            "automountServiceAccountToken": false,
            "hostNetwork": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "tmp", "emptyDir": {}}],
            "containers": [{
                "name": "c", "ports": [{"containerPort": 1}],
                "resources": {"requests": {"memory": "1Mi"}, "limits": {"memory": "1Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "privileged": false,
                    "capabilities": {"drop": ["ALL"], "add": []},
                },
            }],
        }})
    }

    #[test]
    fn a_restricted_pod_is_fine() {
        assert_eq!(problems(&[pod(), json!({"kind": "Service"})]), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_a_problem() {
        for (pointer, value, part) in [
            ("/spec/hostNetwork", json!(true), "hostNetwork"),
            ("/spec/volumes/0", json!({"name": "n", "hostPath": {"path": "/"}}), "hostPath"),
            ("/spec/containers", json!([]), "no container"),
            ("/spec/automountServiceAccountToken", json!(true), "token"),
            ("/spec/automountServiceAccountToken", Value::Null, "token"),
            ("/spec/securityContext/runAsNonRoot", json!(false), "may run as root"),
            ("/spec/securityContext/seccompProfile", Value::Null, "seccomp"),
            ("/spec/containers/0/securityContext/allowPrivilegeEscalation", Value::Null, "gain privileges"),
            ("/spec/containers/0/securityContext/readOnlyRootFilesystem", json!(false), "write to its image"),
            ("/spec/containers/0/securityContext/privileged", json!(true), "is privileged"),
            ("/spec/containers/0/securityContext/capabilities/drop", json!(["NET_RAW"]), "drop ALL"),
            ("/spec/containers/0/securityContext/capabilities/add", json!(["SYS_ADMIN"]), "adds"),
            ("/spec/containers/0/ports/0", json!({"hostPort": 1}), "port of the node"),
            ("/spec/containers/0/resources/limits", Value::Null, "limit of memory"),
            ("/spec/containers/0/resources/requests", Value::Null, "requests no memory"),
        ] {
            let mut wrong = pod();
            *wrong.pointer_mut(pointer).unwrap() = value;
            let found = problems(&[wrong]);
            assert!(found.len() == 1 && found[0].contains(part), "{pointer}: {found:?}");
        }
    }

    #[test]
    fn a_sidecar_is_looked_at_and_a_container_overrides_its_pod() {
        let mut wrong = pod();
        let mut sidecar = wrong["spec"]["containers"][0].clone();
        sidecar["securityContext"]["runAsUser"] = json!(0);
        wrong["spec"]["initContainers"] = json!([sidecar]);
        let found = problems(&[wrong]);
        assert!(found.len() == 1 && found[0].contains("runs as root"), "{found:?}");
    }

    #[test]
    fn the_pods_of_a_deployment_are_looked_at() {
        let deployment = json!({
            "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": {"spec": pod()["spec"]}},
        });
        let found = problems(&[deployment]);
        assert!(found.len() == 1 && found[0].contains("token"), "{found:?}");
    }
}
