//! A node: containerd, kubelet, kube-proxy, and the files they read.

use super::component::{Component, Serves, Stage};
use super::disk;
use super::layout::{CONTROL_ADDRESS, ClusterLayout, DNS_DOMAIN, POD_RANGE, Place};

/// The image of the container that holds a pod's namespaces.
pub(crate) const PAUSE_IMAGE: &str = "localhost/scrapefleet-pause:1";

/// Every component of one node.
pub(crate) fn components(layout: &ClusterLayout, node: Place) -> Vec<Component> {
    vec![containerd(layout, node), kubelet(layout, node), kube_proxy(layout, node)]
}

/// The name of a node's kubelet among the users of the API server, and of its kubeconfig.
pub(crate) fn kubelet_user(node: Place) -> String {
    format!("{}-kubelet", node.name())
}

fn containerd(layout: &ClusterLayout, node: Place) -> Component {
    let config = layout.node(node).join("containerd.toml");
    let networks = layout.node(node).join("networks");
    Component::of_node("containerd", node, Stage::Foundation, "/usr/bin/containerd".into())
        .arg("--config")
        .arg(config.display().to_string())
        .file(networks.join("10-pods.conflist"), pod_network(layout, node))
        .file(config, containerd_config(layout, node))
        .serves(Serves::Socket(layout.containerd_socket(node)))
}

fn containerd_config(layout: &ClusterLayout, node: Place) -> String {
    let folder = layout.node(node);
    let folder = folder.display();
    // restrict_oom_score_adj: where this process may not lower it, every sandbox would die without a word.
    // netns_mounts_under_state_dir: what a node leaves behind is then all below its own folder.
    format!(
        r#"version = 2
root = "{images}"
state = "{folder}/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/networks"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"#,
        images = layout.image_store(node).display(),
        socket = layout.containerd_socket(node).display(),
    )
}

/// Pods hang on links of their own, not on a bridge: all their traffic is routed, so Service rules see all of it
/// whether or not this kernel shows bridged packets to iptables.
fn pod_network(layout: &ClusterLayout, node: Place) -> String {
    let subnet = node.pod_range().unwrap_or_default();
    serde_json::json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": subnet }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                    "dataDir": layout.node(node).join("run/addresses"),
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
    .to_string()
}

fn kubelet(layout: &ClusterLayout, node: Place) -> Component {
    let folder = layout.node(node);
    let config = folder.join("kubelet.json");
    let resolv = folder.join("resolv.conf");
    let certificate = |name: &str| layout.certificates().join(name);
    let content = serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": certificate("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": certificate(&format!("{}.crt", kubelet_user(node))),
        "tlsPrivateKeyFile": certificate(&format!("{}.key", kubelet_user(node))),
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket(node).display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", layout.place_group(node).display()),
        "failCgroupV1": false,
        "failSwapOn": false,
        "clusterDNS": [CONTROL_ADDRESS],
        "clusterDomain": DNS_DOMAIN,
        "resolvConf": resolv,
        "podLogsDir": layout.pod_logs(node),
        "volumePluginDir": folder.join("volume-plugins"),
        "serializeImagePulls": false,
        // Images are brought by hand and never to be fetched again: nothing here may delete them.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
        // A disk that was full takes pods again soon after there is room.
        "evictionPressureTransitionPeriod": "10s",
        // A silent node is noticed in seconds: fault tests wait for it.
        "nodeLeaseDurationSeconds": 12,
        "nodeStatusUpdateFrequency": "4s",
        "syncFrequency": "10s",
        "enableServer": true,
        "maxPods": 110,
    });
    Component::of_node("kubelet", node, Stage::Clients, layout.tool("kubelet"))
        .path_flag("config", &config)
        .path_flag("kubeconfig", &layout.kubeconfig(&kubelet_user(node)))
        .path_flag("root-dir", &disk::folder(layout, node))
        .flag("hostname-override", node.name())
        .flag("node-ip", node.address())
        .flag("v", "1")
        // Pods resolve names of the cluster and no others.
        .file(resolv, String::new())
        .file(config, content.to_string())
        .serves(Serves::Port(10250))
}

fn kube_proxy(layout: &ClusterLayout, node: Place) -> Component {
    let config = layout.node(node).join("kube-proxy.json");
    let content = serde_json::json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": { "kubeconfig": layout.kubeconfig("kube-proxy") },
        "mode": "iptables",
        "clusterCIDR": POD_RANGE,
        "hostnameOverride": node.name(),
        // The limits belong to the whole machine, not to a namespace: leave them as they are.
        "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
    });
    Component::of_node("kube-proxy", node, Stage::Clients, layout.tool("kube-proxy"))
        .path_flag("config", &config)
        .flag("v", "1")
        .file(config, content.to_string())
        .serves(Serves::Port(10256))
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::layout;
    use super::*;

    #[test]
    fn two_nodes_share_no_file_no_group_and_no_address() {
        let layout = layout();
        let one = components(&layout, Place::Node(1));
        let two = components(&layout, Place::Node(2));
        for (one, two) in one.iter().zip(&two) {
            for (file, other) in one.files.iter().zip(&two.files) {
                assert_ne!(file.path, other.path);
            }
            let texts = |component: &Component| {
                component.files.iter().map(|file| file.content.clone()).collect::<String>()
                    + &component.arguments.concat()
            };
            assert!(!texts(one).contains("node2"), "{}", one.name);
            assert!(!texts(two).contains("node1"), "{}", two.name);
        }
    }

    #[test]
    fn the_kubelet_uses_its_own_nodes_runtime_and_group() {
        let kubelet = kubelet(&layout(), Place::Node(2));
        let config: serde_json::Value = serde_json::from_str(&kubelet.files[1].content).unwrap();
        assert_eq!(
            config["containerRuntimeEndpoint"],
            "unix:///cache/clusters/test/node2/run/containerd.sock"
        );
        assert_eq!(config["cgroupRoot"], "/scrapefleet/test/node2");
        assert_eq!(config["failCgroupV1"], false);
    }

    #[test]
    fn containerd_keeps_everything_below_its_nodes_folder() {
        let containerd = containerd(&layout(), Place::Node(1));
        let config = &containerd.files[1].content;
        for line in config.lines().filter(|line| line.contains("= \"/")) {
            assert!(line.contains("/cache/clusters/test/node1/") || line.contains("/usr/lib/cni"), "{line}");
        }
        assert!(config.contains("restrict_oom_score_adj = true"));
    }
}
