//! `cluster up`: from nothing, or from whatever is left, to nodes that are ready.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::component::{Component, Stage};
use super::control_groups::Hierarchies;
use super::layout::{ClusterLayout, Place};
use super::network::Cable;
use super::plan::Step;
use super::progress::Progress;
use super::state::State;
use super::supervise::Supervisor;
use super::{certificates, clean, control_plane, disk, files, kubeconfig, network, node, own_folders};

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
    await_nodes(&supervisor, &components, &layout.nodes().collect::<Vec<_>>())?;
    await_service_account(&supervisor, &components)?;
    progress.say(format!("{} nodes ready", layout.nodes));
    Ok(())
}

/// Starts what is missing of one node, and leaves all others as they are.
pub(crate) fn start_node(
    layout: &ClusterLayout,
    groups: &Hierarchies,
    node: Place,
    progress: Progress,
) -> Result<()> {
    let name = node.name();
    if network::cable(layout, node)? == Cable::Unplugged {
        bail!("{name} is cut off the network, where no node gets ready: `node heal {name}` first");
    }
    prepare_place(layout, groups, node)?;
    let components = node::components(layout, node);
    let supervisor = Supervisor { layout, groups, progress };
    supervisor.forget_dead(&components)?;
    supervisor.bring_up(&components, Stage::Foundation, None)?;
    supervisor.bring_up(&components, Stage::Clients, None)?;
    await_nodes(&supervisor, &components, &[node])?;
    progress.say(format!("{name} is ready"));
    Ok(())
}

/// Everything components find when they start.
fn prepare(layout: &ClusterLayout, groups: &Hierarchies) -> Result<()> {
    for folder in [layout.etcd_data(), layout.logs(), layout.records(), layout.volumes()] {
        files::make_folder(&folder)?;
    }
    for place in layout.places() {
        prepare_place(layout, groups, place)?;
    }
    network::ensure(layout)?;
    certificates::ensure(layout)?;
    kubeconfig::write_for_components(layout)
}

/// What the end of a place takes away and its components need before they start.
fn prepare_place(layout: &ClusterLayout, groups: &Hierarchies, place: Place) -> Result<()> {
    groups.make(&layout.place_group(place))?;
    if place == Place::Control {
        return Ok(());
    }
    files::make_folder(&layout.node(place).join("run"))?;
    // Before the node's own mounts, which are a copy of this machine's.
    disk::ensure(layout, groups, place)?;
    own_folders::ensure(layout, place)
}

/// The socket of the way in, when the relay has to be started: on the port it had before, if that is still free. From here
/// on later commands know this cluster as it is now to be.
fn way_in(
    supervisor: &Supervisor<'_>,
    components: &[Component],
    known: Option<u16>,
) -> Result<Option<TcpListener>> {
    let relay = components.iter().find(|component| component.inherits_listener);
    let is_kept = relay.is_some_and(|relay| supervisor.step(relay) == Step::Keep);
    let (port, listener) = match known.filter(|_| is_kept) {
        Some(port) => (port, None),
        None => listen(known).map(|(port, listener)| (port, Some(listener)))?,
    };
    let layout = supervisor.layout;
    State { nodes: layout.nodes, tools: layout.tools.clone(), port }.save(&layout.root)?;
    kubeconfig::write_for_admin(layout, port)?;
    Ok(listener)
}

fn listen(known: Option<u16>) -> Result<(u16, TcpListener)> {
    let bind = |port| TcpListener::bind(("127.0.0.1", port));
    let listener = bind(known.unwrap_or(0)).or_else(|_| bind(0)).context("listen on the loopback address")?;
    Ok((listener.local_addr()?.port(), listener))
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

/// Waits until these nodes are ready.
fn await_nodes(supervisor: &Supervisor<'_>, components: &[Component], nodes: &[Place]) -> Result<()> {
    supervisor.await_condition(components, "to make its node ready", NODES_READY_WITHIN, || {
        let ready = ready_nodes(
            &supervisor.kubectl().args(["get", "nodes", "-o", READY_NODES]).output().unwrap_or_default(),
        );
        let missing = nodes.iter().find(|node| !ready.contains(&node.name()));
        missing.map(|node| node::kubelet_user(*node))
    })
}

/// Waits until pods can be made.
fn await_service_account(supervisor: &Supervisor<'_>, components: &[Component]) -> Result<()> {
    supervisor.await_condition(components, "to make the default service account", NODES_READY_WITHIN, || {
        let account = supervisor.kubectl().args(["get", "serviceaccount", "default"]).finish();
        (!account.is_ok_and(|output| output.status.success())).then(|| "kube-controller-manager".to_owned())
    })
}

/// Prints `node1=True` and so on.
const READY_NODES: &str = r#"jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}"#;

fn ready_nodes(listing: &str) -> Vec<String> {
    listing.lines().filter_map(|line| line.strip_suffix("=True")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::layout;
    use super::super::process;
    use super::*;

    #[test]
    fn a_node_is_ready_only_when_it_says_true() {
        assert_eq!(ready_nodes("node1=True\nnode2=Unknown\nnode3=\n"), ["node1"]);
        assert!(ready_nodes("").is_empty());
    }

    /// A layout in a folder of its own, and the port that a running relay of it listens on.
    fn running() -> (tempfile::TempDir, ClusterLayout, u16) {
        let cache = tempfile::tempdir().unwrap();
        let mut layout = layout();
        layout.root = cache.path().to_path_buf();
        let port = 7;
        State { nodes: 2, tools: layout.tools.clone(), port }.save(&layout.root).unwrap();
        let components = components(&layout, Path::new("/xtask"));
        let relay = components.iter().find(|component| component.inherits_listener).unwrap();
        // This very process stands for the relay.
        let record = process::Record::of_this_process(relay.fingerprint());
        process::record(&layout, &relay.name, &record).unwrap();
        (cache, layout, port)
    }

    #[test]
    fn what_later_commands_know_follows_an_up_that_leaves_the_relay_alone() {
        let (_cache, mut layout, port) = running();
        layout.nodes = 3;
        layout.tools = "/new-tools".into();
        let groups = Hierarchies::Unified("/none".into());
        let supervisor = Supervisor { layout: &layout, groups: &groups, progress: Progress::begin() };
        let components = components(&layout, Path::new("/xtask"));
        assert!(way_in(&supervisor, &components, Some(port)).unwrap().is_none());
        let known = State::load(&layout.root).unwrap().unwrap();
        assert_eq!(known, State { nodes: 3, tools: layout.tools.clone(), port });
    }

    #[test]
    fn a_relay_that_has_to_be_started_gets_a_socket_and_later_commands_its_port() {
        let (_cache, layout, _) = running();
        process::forget(&layout, "relay").unwrap();
        let groups = Hierarchies::Unified("/none".into());
        let supervisor = Supervisor { layout: &layout, groups: &groups, progress: Progress::begin() };
        let components = components(&layout, Path::new("/xtask"));
        let listener = way_in(&supervisor, &components, None).unwrap().unwrap();
        let known = State::load(&layout.root).unwrap().unwrap();
        assert_eq!(known.port, listener.local_addr().unwrap().port());
        let kubeconfig = files::read(&layout.admin_kubeconfig()).unwrap();
        assert!(kubeconfig.contains(&format!("https://127.0.0.1:{}", known.port)), "{kubeconfig}");
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
