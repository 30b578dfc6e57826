//! The control plane: etcd, API server, controller manager, scheduler, DNS, and the way in from this machine.

use std::path::Path;

use super::component::{Component, Serves, Stage};
use super::layout::{
    API_PORT, CONTROL_ADDRESS, ClusterLayout, DNS_DOMAIN, ETCD_PORT, POD_RANGE, SERVICE_RANGE,
};

/// Every component of the control plane. `relay` is the program that runs the way in: this one.
pub(crate) fn components(layout: &ClusterLayout, relay: &Path) -> Vec<Component> {
    vec![
        etcd(layout),
        build_relay(relay),
        api_server(layout),
        controller_manager(layout),
        scheduler(layout),
        dns(layout),
    ]
}

fn etcd(layout: &ClusterLayout) -> Component {
    let clients = format!("http://127.0.0.1:{ETCD_PORT}");
    Component::of_control("etcd", Stage::Foundation, "/usr/bin/etcd".into())
        .path_flag("data-dir", &layout.etcd_data())
        .flag("listen-client-urls", &clients)
        .flag("advertise-client-urls", &clients)
        .flag("listen-peer-urls", "http://127.0.0.1:2380")
        // The data need not outlive a power failure, only the death of the process.
        .arg("--unsafe-no-fsync")
        .flag("auto-compaction-retention", "10m")
        .flag("logger", "zap")
        .serves(Serves::Port(ETCD_PORT))
}

/// The way in from this machine: a process inside the control namespace that inherited a listening socket of the
/// loopback address outside. No network link joins the two.
fn build_relay(relay: &Path) -> Component {
    Component::of_control("relay", Stage::Foundation, relay.to_path_buf())
        .arg("cluster")
        .arg("relay")
        .arg(format!("{CONTROL_ADDRESS}:{API_PORT}"))
        .inherits_listener()
}

/// Writes of service accounts, with nothing of what was written.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    userGroups: [system:serviceaccounts]
    verbs: [create, update, patch, delete, deletecollection]
  - level: None
";

fn api_server(layout: &ClusterLayout) -> Component {
    let certificate = |name: &str| layout.certificates().join(name);
    let audit_policy = layout.root.join("config/audit-policy.yaml");
    Component::of_control("kube-apiserver", Stage::Api, layout.tool("kube-apiserver"))
        .flag("advertise-address", CONTROL_ADDRESS)
        .flag("secure-port", API_PORT)
        .flag("etcd-servers", format!("http://127.0.0.1:{ETCD_PORT}"))
        .flag("service-cluster-ip-range", SERVICE_RANGE)
        .path_flag("client-ca-file", &certificate("ca.crt"))
        .path_flag("tls-cert-file", &certificate("kube-apiserver.crt"))
        .path_flag("tls-private-key-file", &certificate("kube-apiserver.key"))
        .path_flag("kubelet-certificate-authority", &certificate("ca.crt"))
        .path_flag("kubelet-client-certificate", &certificate("kubelet-client.crt"))
        .path_flag("kubelet-client-key", &certificate("kubelet-client.key"))
        // Else exec and logs look a node's name up.
        .flag("kubelet-preferred-address-types", "InternalIP")
        .flag("service-account-issuer", format!("https://kubernetes.default.svc.{DNS_DOMAIN}"))
        .path_flag("service-account-key-file", &certificate("service-accounts.pub"))
        .path_flag("service-account-signing-key-file", &certificate("service-accounts.key"))
        .flag("authorization-mode", "Node,RBAC")
        .flag("enable-admission-plugins", "NodeRestriction")
        .flag("allow-privileged", "true")
        // Webhooks are reached at their pods: no Service rules exist in the control namespace.
        .flag("enable-aggregator-routing", "true")
        // What tests count: every write of a service account.
        .path_flag("audit-policy-file", &audit_policy)
        .path_flag("audit-log-path", &layout.logs().join("audit.log"))
        .flag("audit-log-maxsize", 50)
        .flag("audit-log-maxbackup", 1)
        .file(audit_policy, AUDIT_POLICY.to_owned())
        .flag("v", "1")
        .serves(Serves::Port(API_PORT))
}

fn controller_manager(layout: &ClusterLayout) -> Component {
    let certificate = |name: &str| layout.certificates().join(name);
    Component::of_control("kube-controller-manager", Stage::Clients, layout.tool("kube-controller-manager"))
        .path_flag("kubeconfig", &layout.kubeconfig("kube-controller-manager"))
        .flag("leader-elect", "false")
        .flag("bind-address", "127.0.0.1")
        .flag("use-service-account-credentials", "true")
        .path_flag("service-account-private-key-file", &certificate("service-accounts.key"))
        .path_flag("root-ca-file", &certificate("ca.crt"))
        .flag("cluster-cidr", POD_RANGE)
        // It makes this folder; by default one of this machine.
        .path_flag("flex-volume-plugin-dir", &layout.root.join("volume-plugins"))
        // A silent node is NotReady after this long (50 s by default): fault tests wait for it.
        .flag("node-monitor-grace-period", "16s")
        .flag("node-monitor-period", "2s")
        .flag("v", "1")
}

fn scheduler(layout: &ClusterLayout) -> Component {
    Component::of_control("kube-scheduler", Stage::Clients, layout.tool("kube-scheduler"))
        .path_flag("kubeconfig", &layout.kubeconfig("kube-scheduler"))
        .flag("leader-elect", "false")
        .flag("bind-address", "127.0.0.1")
        .flag("v", "1")
}

fn dns(layout: &ClusterLayout) -> Component {
    let corefile = layout.root.join("config/Corefile");
    let kubeconfig = layout.kubeconfig("coredns");
    let content = format!(
        ".:53 {{\n    bind {CONTROL_ADDRESS}\n    errors\n    health {CONTROL_ADDRESS}:8080\n    kubernetes {DNS_DOMAIN} in-addr.arpa {{\n        \
         kubeconfig {}\n        pods insecure\n        ttl 5\n    }}\n    cache 5\n}}\n",
        kubeconfig.display()
    );
    Component::of_control("coredns", Stage::Clients, layout.tool("coredns"))
        .arg("-conf")
        .arg(corefile.display().to_string())
        .file(corefile, content)
        .serves(Serves::Port(53))
}

/// The users of the API server that the control plane runs as: (file name, user, group).
pub(crate) fn users() -> [(&'static str, &'static str, &'static str); 3] {
    [
        ("kube-controller-manager", "system:kube-controller-manager", ""),
        ("kube-scheduler", "system:kube-scheduler", ""),
        ("coredns", "system:coredns", ""),
    ]
}

/// What lets `CoreDNS` see names: it is a process beside the API server, not a pod, so nothing else grants it this.
pub(crate) const DNS_ACCESS: &str = r#"apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: system:coredns }
rules:
  - { apiGroups: [""], resources: [services, pods, namespaces], verbs: [list, watch] }
  - { apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: system:coredns }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:coredns }
subjects:
  - { apiGroup: rbac.authorization.k8s.io, kind: User, name: system:coredns }
"#;

#[cfg(test)]
mod tests {
    use super::super::layout::Place;
    use super::super::layout::tests::layout;
    use super::*;

    #[test]
    fn names_are_unique_and_everything_runs_in_the_control_namespace() {
        let components = components(&layout(), Path::new("/xtask"));
        let mut names: Vec<_> = components.iter().map(|component| component.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), components.len());
        assert!(components.iter().all(|component| component.place == Place::Control));
    }

    #[test]
    fn etcd_is_reached_only_inside_its_own_namespace() {
        let etcd = etcd(&layout());
        for argument in etcd.arguments.iter().filter(|argument| argument.contains("-urls=")) {
            assert!(argument.contains("http://127.0.0.1:"), "{argument}");
        }
    }

    #[test]
    fn the_api_server_starts_after_etcd_and_before_what_talks_to_it() {
        let stages: Vec<_> = components(&layout(), Path::new("/xtask"))
            .into_iter()
            .map(|component| (component.name, component.stage))
            .collect();
        let stage =
            |name: &str| stages.iter().find(|(known, _)| known == name).map(|(_, stage)| *stage).unwrap();
        assert!(stage("etcd") < stage("kube-apiserver"));
        assert!(stage("kube-apiserver") < stage("kube-scheduler"));
    }

    #[test]
    fn coredns_answers_on_the_address_that_pods_ask_and_forwards_nothing() {
        let dns = dns(&layout());
        assert!(dns.files[0].content.contains("bind 10.10.0.1"), "{}", dns.files[0].content);
        assert!(!dns.files[0].content.contains("forward"));
    }
}
