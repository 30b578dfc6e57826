//! `cluster up`: from nothing, or from whatever is left, to nodes that are ready.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::component::{Component, Stage};
use super::control_groups::Hierarchies;
use super::layout::{ClusterLayout, Place};
use super::plan::Step;
use super::progress::Progress;
use super::state::State;
use super::supervise::Supervisor;
use super::{certificates, clean, control_plane, disk, files, kubeconfig, network, node};

/// How long the API server may take to be ready once it listens.
const API_READY_WITHIN: Duration = Duration::from_secs(90);
/// How long the nodes may take to be ready once the API server is.
const NODES_READY_WITHIN: Duration = Duration::from_mins(2);

/// Every component of a cluster. `program` is this program, which also is the relay.
pub(crate) fn components(layout: &ClusterLayout, program: &Path) -> Vec<Component> {
    let mut all = control_plane::components(layout, program);
    all.extend(layout.nodes().flat_map(|place| node::components(layout, place)));
    all
}

/// Makes the cluster of this layout run as it should.
pub(crate) fn up(layout: &ClusterLayout, groups: &Hierarchies, progress: Progress) -> Result<()> {
    let known = State::load(&layout.root).unwrap_or_default();
    if let Some(known) = known.as_ref().filter(|known| known.nodes > layout.nodes) {
        bail!(
            "cluster {} has {} nodes and would get {}: take it down first",
            layout.name,
            known.nodes,
            layout.nodes
        );
    }
    if known.is_none() || groups.processes(&layout.place_group(Place::Control)).is_empty() {
        clean::remove(layout, groups).context("clear away what an earlier cluster left")?;
    }
    prepare(layout, groups)?;
    progress.say("network and certificates made");

    let program = std::env::current_exe().context("the path of this program")?;
    let components = components(layout, &program);
    let supervisor = Supervisor { layout, groups, progress };
    supervisor.forget_dead(&components)?;
    let listener = way_in(&supervisor, &components, known.map(|known| known.port))?;
    supervisor.bring_up(&components, Stage::Foundation, listener)?;
    supervisor.bring_up(&components, Stage::Api, None)?;
    await_api(&supervisor, &components)?;
    supervisor.bring_up(&components, Stage::Clients, None)?;
    await_nodes(&supervisor, &components)
}

/// Everything components find when they start.
fn prepare(layout: &ClusterLayout, groups: &Hierarchies) -> Result<()> {
    for place in layout.places() {
        groups.make(&layout.place_group(place))?;
    }
    for folder in [layout.etcd_data(), layout.logs(), layout.records(), layout.volumes()] {
        files::make_folder(&folder)?;
    }
    for place in layout.nodes() {
        files::make_folder(&layout.node(place).join("run"))?;
        disk::ensure(layout, groups, place)?;
    }
    network::ensure(layout)?;
    certificates::ensure(layout)?;
    kubeconfig::write_for_components(layout)
}

/// The socket of the way in, when the relay has to be started: on the port it had before, if that is still free.
fn way_in(
    supervisor: &Supervisor<'_>,
    components: &[Component],
    known: Option<u16>,
) -> Result<Option<TcpListener>> {
    let relay = components.iter().find(|component| component.inherits_listener);
    if relay.is_some_and(|relay| supervisor.step(relay) == Step::Keep) && known.is_some() {
        return Ok(None);
    }
    let bind = |port| TcpListener::bind(("127.0.0.1", port));
    let listener = bind(known.unwrap_or(0)).or_else(|_| bind(0)).context("listen on the loopback address")?;
    let layout = supervisor.layout;
    let port = listener.local_addr()?.port();
    State { nodes: layout.nodes, tools: layout.tools.clone(), port }.save(&layout.root)?;
    kubeconfig::write_for_admin(layout, port)?;
    Ok(Some(listener))
}

fn await_api(supervisor: &Supervisor<'_>, components: &[Component]) -> Result<()> {
    supervisor.await_condition(components, "to be ready", API_READY_WITHIN, || {
        let ready = supervisor
            .kubectl()
            .args(["get", "--raw", "/readyz"])
            .finish()
            .is_ok_and(|output| output.status.success());
        (!ready).then(|| "kube-apiserver".to_owned())
    })?;
    supervisor.kubectl().args(["apply", "-f", "-"]).input(control_plane::DNS_ACCESS.to_owned()).run()?;
    supervisor.progress.say("API server ready");
    Ok(())
}

/// Waits until every node is ready and pods can be made.
fn await_nodes(supervisor: &Supervisor<'_>, components: &[Component]) -> Result<()> {
    let layout = supervisor.layout;
    supervisor.await_condition(components, "to make its node ready", NODES_READY_WITHIN, || {
        let ready = ready_nodes(
            &supervisor.kubectl().args(["get", "nodes", "-o", READY_NODES]).output().unwrap_or_default(),
        );
        let missing = layout.nodes().find(|node| !ready.contains(&node.name()));
        missing.map(node::kubelet_user)
    })?;
    supervisor.await_condition(
        components,
        "to make the default service account",
        NODES_READY_WITHIN,
        || {
            let account = supervisor.kubectl().args(["get", "serviceaccount", "default"]).finish();
            (!account.is_ok_and(|output| output.status.success()))
                .then(|| "kube-controller-manager".to_owned())
        },
    )?;
    supervisor.progress.say(format!("{} nodes ready", layout.nodes));
    Ok(())
}

/// Prints `node1=True` and so on.
const READY_NODES: &str = r#"jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}"#;

fn ready_nodes(listing: &str) -> Vec<String> {
    listing.lines().filter_map(|line| line.strip_suffix("=True")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::layout;
    use super::*;

    #[test]
    fn a_node_is_ready_only_when_it_says_true() {
        assert_eq!(ready_nodes("node1=True\nnode2=Unknown\nnode3=\n"), ["node1"]);
        assert!(ready_nodes("").is_empty());
    }

    #[test]
    fn a_cluster_of_two_nodes_has_a_control_plane_and_three_components_a_node() {
        let components = components(&layout(), Path::new("/xtask"));
        let of_node = |place| components.iter().filter(|component| component.place == place).count();
        assert_eq!((of_node(Place::Control), of_node(Place::Node(1)), of_node(Place::Node(2))), (6, 3, 3));
        let mut names: Vec<_> = components.iter().map(|component| &component.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 12);
    }
}
