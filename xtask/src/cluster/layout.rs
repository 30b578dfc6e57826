//! Where everything of one cluster is: folders, namespaces, addresses, ports. A value; nothing here touches the machine.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::name::ClusterName;

/// The port of the API server in the control namespace.
pub(crate) const API_PORT: u16 = 6443;
/// The port of etcd in the control namespace, on its loopback address.
pub(crate) const ETCD_PORT: u16 = 2379;
/// The address range of Services. Every cluster uses the same ranges: each lives in network namespaces of its own.
pub(crate) const SERVICE_RANGE: &str = "10.30.0.0/16";
/// The address of the `kubernetes` Service: the first of the range.
pub(crate) const KUBERNETES_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 30, 0, 1);
/// The address range of all pods.
pub(crate) const POD_RANGE: &str = "10.20.0.0/16";
/// The address of the control namespace: API server and DNS.
pub(crate) const CONTROL_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 10, 0, 1);
/// An address of the node network that nobody has: Service addresses are routed to it, so that packets to them come as
/// far as the rules that rewrite them.
pub(crate) const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 10, 255, 254);
/// The domain of Service names.
pub(crate) const DNS_DOMAIN: &str = "cluster.local";

/// A place where components run: a network namespace with its own control group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The control plane: API server, etcd, DNS, and the switch that the nodes hang on.
    Control,
    /// The node of this number, counted from 1.
    Node(u8),
}

impl Place {
    /// `control`, `node1`, `node2`…: the name of the node for Kubernetes, and of the folders and groups for us.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Control => "control".to_owned(),
            Self::Node(number) => format!("node{number}"),
        }
    }

    /// Its address on the node network.
    pub(crate) fn address(self) -> Ipv4Addr {
        match self {
            Self::Control => CONTROL_ADDRESS,
            Self::Node(number) => Ipv4Addr::new(10, 10, 1, number),
        }
    }

    /// The addresses of the pods of this node.
    pub(crate) fn pod_range(self) -> Option<String> {
        match self {
            Self::Control => None,
            Self::Node(number) => Some(format!("10.20.{number}.0/24")),
        }
    }
}

/// Everything that follows from a cluster's name, the cache folder and the number of nodes.
#[derive(Debug, Clone)]
pub(crate) struct ClusterLayout {
    /// The cluster's name.
    pub(crate) name: ClusterName,
    /// The folder of this cluster's state.
    pub(crate) root: PathBuf,
    /// The folder with the Kubernetes programs, helm, coredns.
    pub(crate) tools: PathBuf,
    /// How many nodes there are, 1 to 9.
    pub(crate) nodes: u8,
}

impl ClusterLayout {
    /// The layout of the cluster of this name under the cache folder.
    pub(crate) fn new(name: ClusterName, cache: &Path, tools: PathBuf, nodes: u8) -> Self {
        let root = cache.join("clusters").join(name.as_str());
        Self { name, root, tools, nodes }
    }

    /// The nodes, in order.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Place> + use<> {
        (1..=self.nodes).map(Place::Node)
    }

    /// Every place: control first, then the nodes.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        std::iter::once(Place::Control).chain(self.nodes())
    }

    /// The file a network namespace is held by.
    pub(crate) fn namespace(&self, place: Place) -> PathBuf {
        self.root.join("netns").join(place.name())
    }

    /// The file that the mounts of a node are held by. The control plane has those of this machine.
    pub(crate) fn mounts(&self, place: Place) -> Option<PathBuf> {
        (place != Place::Control).then(|| self.root.join("mounts").join(place.name()))
    }

    /// The control group of this cluster, below the root of every hierarchy.
    pub(crate) fn control_group(&self) -> PathBuf {
        Path::new("scrapefleet").join(self.name.as_str())
    }

    /// The control group of one place.
    pub(crate) fn place_group(&self, place: Place) -> PathBuf {
        self.control_group().join(place.name())
    }

    /// Certificates and keys.
    pub(crate) fn certificates(&self) -> PathBuf {
        self.root.join("certificates")
    }

    /// The kubeconfig of this user: `admin`, `kube-scheduler`, `node1-kubelet`…
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.root.join("kubeconfig").join(user)
    }

    /// The kubeconfig for a person on this machine, outside the cluster's network.
    pub(crate) fn admin_kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig.yaml")
    }

    /// The folder of logs, one file per component.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The folder of records, one file per process that was started.
    pub(crate) fn records(&self) -> PathBuf {
        self.root.join("processes")
    }

    /// Where etcd keeps its data.
    pub(crate) fn etcd_data(&self) -> PathBuf {
        self.root.join("etcd")
    }

    /// The folder of one node.
    pub(crate) fn node(&self, place: Place) -> PathBuf {
        self.root.join(place.name())
    }

    /// Where a node's kubelet has the logs of containers.
    pub(crate) fn pod_logs(&self, place: Place) -> PathBuf {
        self.node(place).join("pod-logs")
    }

    /// Where a node's containerd keeps its images. Kept by `down`: importing them anew takes minutes.
    pub(crate) fn image_store(&self, place: Place) -> PathBuf {
        self.node(place).join("images")
    }

    /// The socket of a node's containerd.
    pub(crate) fn containerd_socket(&self, place: Place) -> PathBuf {
        self.node(place).join("run/containerd.sock")
    }

    /// Where pods of this node may keep files that outlive them (hostPath volumes of the test platform).
    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// One of the programs built by this project.
    pub(crate) fn tool(&self, name: &str) -> PathBuf {
        self.tools.join(name)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A layout with two nodes, for tests.
    pub(crate) fn layout() -> ClusterLayout {
        ClusterLayout::new(
            ClusterName::parse("test").unwrap(),
            Path::new("/cache"),
            PathBuf::from("/tools"),
            2,
        )
    }

    #[test]
    fn places_have_addresses_and_pod_ranges_of_their_own() {
        let places: Vec<_> = layout().places().collect();
        assert_eq!(places, [Place::Control, Place::Node(1), Place::Node(2)]);
        let mut addresses: Vec<_> = places.iter().map(|place| place.address()).collect();
        addresses.push(NOBODY);
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 4);
        assert_ne!(Place::Node(1).pod_range(), Place::Node(2).pod_range());
    }

    #[test]
    fn every_path_of_a_cluster_is_below_its_own_folder() {
        let layout = layout();
        for path in [
            layout.namespace(Place::Node(2)),
            layout.logs(),
            layout.etcd_data(),
            layout.image_store(Place::Node(1)),
        ] {
            assert!(path.starts_with("/cache/clusters/test"), "{}", path.display());
        }
    }

    #[test]
    fn socket_paths_fit_the_kernels_limit_under_a_usual_cache_folder() {
        let name = ClusterName::parse("abcdefghijklmnopqrstuvwx").unwrap();
        let layout =
            ClusterLayout::new(name, Path::new("/home/somebody/.cache/scrapefleet"), PathBuf::new(), 2);
        assert!(layout.containerd_socket(Place::Node(1)).as_os_str().len() + ".ttrpc".len() <= 107);
    }
}
