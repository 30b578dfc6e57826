//! The network of a cluster: a namespace for the control plane with a switch in it, one for each node, a cable from
//! each node to the switch. No route of any of them leads out.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::command::Tool;
use super::files;
use super::layout::{ClusterLayout, NOBODY, Place, SERVICE_RANGE};

/// The name of a node's interface inside its own namespace.
const NODE_INTERFACE: &str = "eth0";
/// The name of the switch in the control namespace.
const SWITCH: &str = "switch";

/// A virtual link that has to be made before the settings of a namespace can be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// The namespace it is made in.
    pub(crate) place: Place,
    /// Its name there.
    pub(crate) name: String,
    /// The arguments that make it.
    pub(crate) arguments: Vec<String>,
}

/// The links of a cluster, in the order they are made.
pub(crate) fn links(layout: &ClusterLayout) -> Vec<Link> {
    let words = |text: String| text.split(' ').map(str::to_owned).collect();
    let switch = Link {
        place: Place::Control,
        name: SWITCH.to_owned(),
        arguments: words(format!("link add {SWITCH} type bridge")),
    };
    let cables = layout.nodes().map(|node| {
        let mut arguments: Vec<String> =
            words(format!("link add {} type veth peer name {NODE_INTERFACE} netns", node.name()));
        arguments.push(layout.namespace(node).display().to_string());
        Link { place: Place::Control, name: node.name(), arguments }
    });
    std::iter::once(switch).chain(cables).collect()
}

/// The settings of one namespace, as a batch for `ip`. Applying them twice changes nothing.
pub(crate) fn settings(layout: &ClusterLayout, place: Place) -> String {
    let mut batch = String::from("link set lo up\n");
    let interface = match place {
        Place::Control => {
            for node in layout.nodes() {
                let _ = writeln!(batch, "link set {0} master {SWITCH}\nlink set {0} up", node.name());
            }
            SWITCH
        }
        Place::Node(_) => NODE_INTERFACE,
    };
    let _ =
        writeln!(batch, "link set {interface} up\naddress replace {}/16 dev {interface}", place.address());
    for node in layout.nodes().filter(|node| *node != place) {
        let range = node.pod_range().unwrap_or_default();
        let _ = writeln!(batch, "route replace {range} via {}", node.address());
    }
    if place != Place::Control {
        // Packets to a Service need some route before the rules that rewrite them are asked.
        let _ = writeln!(batch, "route replace {SERVICE_RANGE} via {NOBODY}");
    }
    batch
}

/// Whether the cable of a node is plugged in at the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cable {
    /// Plugged in.
    Plugged,
    /// Unplugged: the node hears nobody and nobody hears it.
    Unplugged,
}

/// Makes what is missing of the network and plugs every cable in.
pub(crate) fn ensure(layout: &ClusterLayout) -> Result<()> {
    let mounts = super::mounts::below(&layout.root)?;
    for place in layout.places() {
        let file = layout.namespace(place);
        if !mounts.contains(&file) {
            make_namespace(&file)?;
        }
    }
    for link in links(layout) {
        let known = inside(layout, link.place).args(["ip", "-o", "link", "show"]).output()?;
        if !has_link(&known, &link.name) {
            inside(layout, link.place).arg("ip").args(&link.arguments).run()?;
        }
    }
    for place in layout.places() {
        inside(layout, place).args(["ip", "-batch", "-"]).input(settings(layout, place)).run()?;
        inside(layout, place).args(["sysctl", "-qw", "net.ipv4.ip_forward=1"]).run()?;
    }
    Ok(())
}

/// Plugs the cable of a node in or out.
pub(crate) fn set_cable(layout: &ClusterLayout, node: Place, cable: Cable) -> Result<()> {
    let state = match cable {
        Cable::Plugged => "up",
        Cable::Unplugged => "down",
    };
    inside(layout, Place::Control).args(["ip", "link", "set", &node.name(), state]).run()
}

/// How the cable of a node is.
pub(crate) fn cable(layout: &ClusterLayout, node: Place) -> Result<Cable> {
    let text = inside(layout, Place::Control)
        .args(["ip", "-o", "link", "show", "dev", &node.name(), "up"])
        .output()?;
    Ok(if text.trim().is_empty() { Cable::Unplugged } else { Cable::Plugged })
}

/// A command that runs inside a namespace. The mounts stay those of this machine: entering by `ip netns exec` would
/// hide the control groups from the kubelet.
pub(crate) fn inside(layout: &ClusterLayout, place: Place) -> Tool {
    Tool::new("nsenter").arg(format!("--net={}", layout.namespace(place).display())).arg("--")
}

fn make_namespace(file: &Path) -> Result<()> {
    files::write(file, "")?;
    Tool::new("unshare")
        .arg(format!("--net={}", file.display()))
        .arg("true")
        .run()
        .with_context(|| format!("make the network namespace {}", file.display()))
}

/// Whether `ip -o link show` printed a link of this name: `2: eth0@if3: <...`.
fn has_link(listing: &str, name: &str) -> bool {
    listing.lines().any(|line| {
        let field = line.split(": ").nth(1).unwrap_or_default();
        field.split('@').next() == Some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::layout;
    use super::*;

    #[test]
    fn no_namespace_has_a_default_route() {
        for place in layout().places() {
            let settings = settings(&layout(), place);
            assert!(!settings.contains("default") && !settings.contains("0.0.0.0/0"), "{settings}");
        }
    }

    #[test]
    fn each_node_knows_the_way_to_the_pods_of_the_others_and_to_services() {
        let settings = settings(&layout(), Place::Node(1));
        assert!(settings.contains("route replace 10.20.2.0/24 via 10.10.1.2"), "{settings}");
        assert!(!settings.contains("10.20.1.0/24"), "{settings}");
        assert!(settings.contains("route replace 10.30.0.0/16 via 10.10.255.254"), "{settings}");
    }

    #[test]
    fn the_control_plane_knows_the_way_to_all_pods() {
        let settings = settings(&layout(), Place::Control);
        assert!(
            settings.contains("10.20.1.0/24 via 10.10.1.1")
                && settings.contains("10.20.2.0/24 via 10.10.1.2")
        );
    }

    #[test]
    fn a_link_is_found_by_its_whole_name() {
        let listing = "1: lo: <LOOPBACK>\n3: node1@if2: <BROADCAST> mtu\n4: switch: <BROADCAST>";
        assert!(has_link(listing, "node1") && has_link(listing, "switch"));
        assert!(!has_link(listing, "node") && !has_link(listing, "if2"));
    }
}
