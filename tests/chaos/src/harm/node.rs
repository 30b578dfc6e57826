//! Harm to a node with bots on it.

use std::collections::BTreeSet;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams};
use scrapefleet_e2e::{Nodes, Space};
use scrapefleet_policy::within;

use super::{CALL_WITHIN, Ground, NothingToStrike, repair::Repair};
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
        let seen = self.observer.seen();
        let on_it = victims.iter().filter_map(|uid| Some(seen.pods.get(uid)?.name.clone()));
        self.repairs.owe(Repair::Uncordon(node.to_owned()));
        cordon(self.space, node, true).await?;
        let fault = self.fault(Scenario::DrainedNode, victims);
        for name in on_it {
            self.evict(&name).await?;
        }
        self.outlast(fault).await
    }

    /// A node with bots and without what all bots use, and the fleet's pods on it.
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
        let mut nodes = seen.live("bot").filter_map(|(_, pod)| pod.node.clone());
        let node = nodes
            .find(|node| !needed.contains(node))
            .ok_or_else(|| NothingToStrike(format!("every bot is on a node with services: {needed:?}")))?;
        let pods = seen.live("bot").chain(seen.live("watcher"));
        let victims = pods.filter(|(_, pod)| pod.node.as_deref() == Some(node.as_str()));
        let victims = victims.map(|(uid, _)| uid.clone()).collect();
        Ok((node, victims))
    }
}

/// Whether a node takes new pods.
pub(super) async fn cordon(space: &Space, node: &str, cordoned: bool) -> Result<()> {
    let nodes: Api<Node> = Api::all(space.client.clone());
    let patch = Patch::Merge(serde_json::json!({ "spec": { "unschedulable": cordoned } }));
    within(CALL_WITHIN, "cordon a node", nodes.patch(node, &PatchParams::default(), &patch)).await??;
    Ok(())
}
