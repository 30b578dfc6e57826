//! Nodes that are pretended: KWOK says of them, and of every pod that is put on them, what a kubelet would say. Thousands
//! of them ask nothing of this machine but what the control plane does for them.

use std::path::Path;

use serde_json::{Value, json};

/// What marks a node as one of KWOK's.
const MARK: (&str, &str) = ("kwok.x-k8s.io/node", "fake");
/// The label they have, for finding them.
const LABEL: (&str, &str) = ("type", "kwok");
/// The module that KWOK is built from.
pub(crate) const MODULE: &str = "sigs.k8s.io/kwok";
/// What happens to nodes and pods, and how soon, as files of that module: nodes get ready at once and stay so, pods run at
/// once until they are deleted, those of a Job until they have run.
const STAGES: [&str; 5] = [
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
];
/// How long a node may be silent, in seconds. It is heard of four times as often, which is sooner than the controller
/// manager gives it up.
const LEASE: u8 = 40;
/// The addresses of their pods, which lead nowhere.
const PODS: &str = "10.40.0.1/16";

/// How a person gets rid of them.
pub(crate) const HOW_TO_REMOVE: &str =
    "`cargo xtask cluster kubectl -- delete nodes -l type=kwok` removes them";

/// So many nodes as one manifest. Only pods that tolerate their taint are put on them.
pub(crate) fn nodes(count: u16) -> String {
    let items: Vec<_> = (1..=count).map(node).collect();
    json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

fn node(number: u16) -> Value {
    let name = format!("pretend-{number}");
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": { MARK.0: MARK.1 },
            "labels": { LABEL.0: LABEL.1, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" },
        },
        "spec": { "taints": [{ "key": MARK.0, "value": MARK.1, "effect": "NoSchedule" }] },
    })
}

/// What KWOK is told: which cluster, which nodes, which addresses, and what happens. `sources` are those of its module.
pub(crate) fn arguments(kubeconfig: &Path, sources: &Path) -> Vec<String> {
    let stages = STAGES.map(|stage| sources.join("kustomize/stage").join(stage));
    let mut arguments = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        "--manage-all-nodes=false".to_owned(),
        format!("--manage-nodes-with-annotation-selector={}={}", MARK.0, MARK.1),
        format!("--node-lease-duration-seconds={LEASE}"),
        format!("--cidr={PODS}"),
    ];
    arguments.extend(stages.iter().map(|stage| format!("--config={}", stage.display())));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pod_that_is_meant_for_a_real_node_is_put_on_a_pretended_one() {
        let list: Value = serde_json::from_str(&nodes(3)).unwrap();
        let items = list["items"].as_array().unwrap();
        let names: Vec<_> = items.iter().map(|node| node["metadata"]["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["pretend-1", "pretend-2", "pretend-3"]);
        for node in items {
            assert_eq!(node["spec"]["taints"][0]["effect"], "NoSchedule");
            assert_eq!(node["metadata"]["labels"]["type"], "kwok");
        }
        assert!(HOW_TO_REMOVE.contains(&format!("{}={}", LABEL.0, LABEL.1)));
    }

    #[test]
    fn kwok_takes_the_nodes_that_are_made_for_it_and_no_others() {
        let node = node(1);
        let arguments = arguments(Path::new("/k.yaml"), Path::new("/kwok"));
        let selector = arguments.iter().find_map(|argument| argument.split_once("-annotation-selector="));
        let (key, value) = selector.unwrap().1.split_once('=').unwrap();
        assert_eq!(node["metadata"]["annotations"][key], value);
        assert!(arguments.contains(&"--manage-all-nodes=false".to_owned()));
        assert!(arguments.contains(&"--config=/kwok/kustomize/stage/pod/fast/pod-ready.yaml".to_owned()));
    }
}
