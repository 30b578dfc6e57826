//! Kubeconfigs: how each user of the API server reaches it.

use anyhow::Result;

use super::files;
use super::layout::{API_PORT, CONTROL_ADDRESS, ClusterLayout};
use super::{control_plane, node};

/// The text of a kubeconfig for the user of this certificate.
pub(crate) fn render(layout: &ClusterLayout, server: &str, certificate: &str) -> String {
    let folder = layout.certificates();
    let cluster = format!("scrapefleet-{}", layout.name);
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": cluster,
            "cluster": { "server": server, "certificate-authority": folder.join("ca.crt") },
        }],
        "users": [{
            "name": certificate,
            "user": {
                "client-certificate": folder.join(format!("{certificate}.crt")),
                "client-key": folder.join(format!("{certificate}.key")),
            },
        }],
        "contexts": [{ "name": cluster, "context": { "cluster": cluster, "user": certificate } }],
        "current-context": cluster,
    })
    .to_string()
}

/// Writes the kubeconfigs of the components, which reach the API server inside the cluster's network.
pub(crate) fn write_for_components(layout: &ClusterLayout) -> Result<()> {
    let server = format!("https://{CONTROL_ADDRESS}:{API_PORT}");
    let mut users: Vec<String> =
        control_plane::users().into_iter().map(|(file, _, _)| file.to_owned()).collect();
    users.push("kube-proxy".to_owned());
    users.extend(layout.nodes().map(node::kubelet_user));
    for user in users {
        files::write_secret(&layout.kubeconfig(&user), &render(layout, &server, &user))?;
    }
    Ok(())
}

/// Writes the kubeconfig for a person on this machine, who reaches the API server through the relay on this port.
pub(crate) fn write_for_admin(layout: &ClusterLayout, port: u16) -> Result<()> {
    let text = render(layout, &format!("https://127.0.0.1:{port}"), "admin");
    files::write_secret(&layout.admin_kubeconfig(), &text)
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::layout;
    use super::*;

    #[test]
    fn a_kubeconfig_names_the_server_and_the_files_of_its_user() {
        let text = render(&layout(), "https://127.0.0.1:1234", "admin");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["clusters"][0]["cluster"]["server"], "https://127.0.0.1:1234");
        assert_eq!(value["users"][0]["user"]["client-key"], "/cache/clusters/test/certificates/admin.key");
        assert_eq!(value["current-context"], value["contexts"][0]["name"]);
    }
}
