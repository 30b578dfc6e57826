//! Harm to a node with bots on it.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams};
use scrapefleet_e2e::{Nodes, Space};
use scrapefleet_policy::within;

use super::{CALL_WITHIN, Ground, repair::Repair};
use crate::{Scenario, effect::Fault, observer};

/// Namespaces of services that a node with only bots on it has none of.
const SERVICES: [&str; 2] = ["platform", "kube-system"];

impl Ground<'_> {
    pub(super) async fn strike_node(&mut self, scenario: Scenario) -> Result<Fault> {
        let (node, victims) = self.choose_node().await?;
        match scenario {
            Scenario::DrainedNode => return self.drain(&node, &victims).await,
            Scenario::DiskFull => return self.fill_disk(&node, &victims).await,
            _ => {}
        }
        let (harm, repair) = if scenario == Scenario::NodeGone { ("stop", "start") } else { ("cut", "heal") };
        let mut fault = self.fault(scenario, &victims);
        self.repairs.owe(Repair::Node(repair, node.clone()));
        Nodes(self.space).command(harm, &node).await?;
        // It is not there from now on; what came before took its time to stop it.
        fault.at = observer::now();
        self.outlast(fault).await
    }

    /// What `kubectl drain` does, for the pods of the fleet.
    async fn drain(&mut self, node: &str, victims: &[String]) -> Result<Fault> {
        let on_it: Vec<String> = {
            let seen = self.observer.seen();
            let live = seen.live("bot").chain(seen.live("watcher"));
            live.filter(|(_, pod)| pod.node.as_deref() == Some(node))
                .map(|(_, pod)| pod.name.clone())
                .collect()
        };
        self.repairs.owe(Repair::Uncordon(node.to_owned()));
        cordon(self.space, node, true).await?;
        let fault = self.fault(Scenario::DrainedNode, victims);
        for name in on_it {
            self.evict(&name).await?;
        }
        self.outlast(fault).await
    }

    /// A node with bots and without what all bots use, and its bots.
    pub(super) async fn choose_node(&mut self) -> Result<(String, Vec<String>)> {
        let pods: Api<Pod> = Api::all(self.space.client.clone());
        let list = within(CALL_WITHIN, "list pods", pods.list(&ListParams::default())).await??;
        let serves = |pod: &&Pod| {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            let site = namespace == self.space.namespace && pod.metadata.name.as_deref() == Some("site");
            SERVICES.contains(&namespace) || site
        };
        let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let needed: BTreeSet<_> = list.iter().filter(serves).filter_map(node).collect();
        let seen = self.observer.seen();
        let bots: Vec<_> =
            seen.live("bot").filter_map(|(uid, pod)| Some((uid.clone(), pod.node.clone()?))).collect();
        let (_, node) = bots
            .iter()
            .find(|(_, node)| !needed.contains(node))
            .with_context(|| format!("every bot is on a node with services: {needed:?}"))?;
        let victims = bots.iter().filter(|(_, of)| of == node).map(|(uid, _)| uid.clone()).collect();
        Ok((node.clone(), victims))
    }
}

/// Whether a node takes new pods.
pub(super) async fn cordon(space: &Space, node: &str, cordoned: bool) -> Result<()> {
    let nodes: Api<Node> = Api::all(space.client.clone());
    let patch = Patch::Merge(serde_json::json!({ "spec": { "unschedulable": cordoned } }));
    within(CALL_WITHIN, "cordon a node", nodes.patch(node, &PatchParams::default(), &patch)).await??;
    Ok(())
}
