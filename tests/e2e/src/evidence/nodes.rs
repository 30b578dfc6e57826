//! How the nodes are.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt as _};

/// A line for each node.
pub(super) async fn lines(client: &Client) -> Result<Vec<String>> {
    Ok(all(client).await?.iter().map(line).collect())
}

/// All nodes as YAML.
pub(super) async fn yaml(client: &Client) -> Result<String> {
    Ok(serde_yaml_ng::to_string(&all(client).await?)?)
}

async fn all(client: &Client) -> Result<Vec<Node>> {
    let mut nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?.items;
    for node in &mut nodes {
        node.metadata.managed_fields = None;
    }
    Ok(nodes)
}

/// The conditions of a node, with an explanation of those that are not as they should be.
fn line(node: &Node) -> String {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let said: Vec<_> = conditions.map(said).collect();
    format!("node {}: {}", node.name_any(), said.join(", "))
}

fn said(condition: &NodeCondition) -> String {
    let NodeCondition { type_, status, reason, message, .. } = condition;
    let wanted = if type_ == "Ready" { "True" } else { "False" };
    if status == wanted {
        return format!("{type_}={status}");
    }
    let (reason, message) = (reason.as_deref().unwrap_or_default(), message.as_deref().unwrap_or_default());
    format!("{type_}={status} ({reason}: {message})")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_wrong_with_a_node_is_explained() {
        let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status, "reason": "R", "message": "why" });
        let node: Node = serde_json::from_value(json!({
            "metadata": { "name": "node2" },
            "status": { "conditions": [condition("DiskPressure", "False"), condition("Ready", "Unknown")] },
        }))
        .unwrap();
        assert_eq!(line(&node), "node node2: DiskPressure=False, Ready=Unknown (R: why)");
        let node = serde_json::from_value(
            json!({ "metadata": {}, "status": { "conditions": [condition("Ready", "True")] } }),
        );
        assert_eq!(line(&node.unwrap()), "node : Ready=True");
    }
}
