//! The certificates of a cluster: which there are (a value), and making those that are missing.

use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::control_plane;
use super::files;
use super::layout::{CONTROL_ADDRESS, ClusterLayout, DNS_DOMAIN, KUBERNETES_SERVICE};
use super::node::kubelet_user;

/// One certificate that the authority of the cluster signs, good for both ends of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The name of its files, without `.crt` and `.key`.
    pub(crate) file: String,
    /// The user it stands for.
    pub(crate) user: String,
    /// The group that user is in; empty for none.
    pub(crate) group: String,
    /// The names and addresses it may serve as.
    pub(crate) names: Vec<String>,
}

impl Identity {
    fn client(file: &str, user: &str, group: &str) -> Self {
        Self { file: file.to_owned(), user: user.to_owned(), group: group.to_owned(), names: Vec::new() }
    }
}

/// Every certificate of this cluster.
pub(crate) fn identities(layout: &ClusterLayout) -> Vec<Identity> {
    let mut all = vec![
        Identity::client("admin", "scrapefleet-admin", "system:masters"),
        Identity::client("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Identity::client("kube-proxy", "system:kube-proxy", ""),
        api_server(),
    ];
    all.extend(
        control_plane::users().into_iter().map(|(file, user, group)| Identity::client(file, user, group)),
    );
    all.extend(layout.nodes().map(|node| Identity {
        file: kubelet_user(node),
        user: format!("system:node:{}", node.name()),
        group: "system:nodes".to_owned(),
        names: vec![node.name(), node.address().to_string()],
    }));
    all
}

fn api_server() -> Identity {
    let names = [
        "kubernetes".to_owned(),
        "kubernetes.default".to_owned(),
        "kubernetes.default.svc".to_owned(),
        format!("kubernetes.default.svc.{DNS_DOMAIN}"),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        CONTROL_ADDRESS.to_string(),
        KUBERNETES_SERVICE.to_string(),
    ];
    Identity { names: names.to_vec(), ..Identity::client("kube-apiserver", "kube-apiserver", "") }
}

/// Makes what is missing. The authority's key is kept, so that a node added later gets a certificate the others trust.
pub(crate) fn ensure(layout: &ClusterLayout) -> Result<()> {
    let folder = layout.certificates();
    files::make_folder(&folder)?;
    let authority = ensure_authority(&folder)?;
    ensure_service_account_key(&folder)?;
    for identity in identities(layout) {
        if !folder.join(format!("{}.crt", identity.file)).exists() {
            issue(&folder, &identity, &authority)
                .with_context(|| format!("certificate of {}", identity.user))?;
        }
    }
    Ok(())
}

fn ensure_authority(folder: &Path) -> Result<Issuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "scrapefleet-cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let (key_file, certificate_file) = (folder.join("ca.key"), folder.join("ca.crt"));
    let key = if key_file.exists() && certificate_file.exists() {
        KeyPair::from_pem(&files::read(&key_file)?)
            .with_context(|| format!("{}: not a key", key_file.display()))?
    } else {
        let key = KeyPair::generate()?;
        files::write_secret(&key_file, &key.serialize_pem())?;
        files::write(&certificate_file, &params.self_signed(&key)?.pem())?;
        key
    };
    Ok(Issuer::new(params, key))
}

fn ensure_service_account_key(folder: &Path) -> Result<()> {
    let (private, public) = (folder.join("service-accounts.key"), folder.join("service-accounts.pub"));
    if private.exists() && public.exists() {
        return Ok(());
    }
    let key = KeyPair::generate()?;
    files::write(&public, &key.public_key_pem())?;
    files::write_secret(&private, &key.serialize_pem())
}

fn issue(folder: &Path, identity: &Identity, authority: &Issuer<'_, KeyPair>) -> Result<()> {
    let mut params = CertificateParams::new(identity.names.clone())?;
    params.distinguished_name.push(DnType::CommonName, identity.user.as_str());
    if !identity.group.is_empty() {
        params.distinguished_name.push(DnType::OrganizationName, identity.group.as_str());
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    files::write_secret(&folder.join(format!("{}.key", identity.file)), &key.serialize_pem())?;
    files::write(&folder.join(format!("{}.crt", identity.file)), &certificate.pem())
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::layout;
    use super::*;

    #[test]
    fn a_nodes_certificate_names_the_node_its_group_and_its_address() {
        let all = identities(&layout());
        let node = all.iter().find(|identity| identity.file == "node2-kubelet").unwrap();
        assert_eq!(node.user, "system:node:node2");
        assert_eq!(node.group, "system:nodes");
        assert!(node.names.contains(&"10.10.1.2".to_owned()));
    }

    #[test]
    fn only_the_admin_and_the_api_server_itself_may_do_everything() {
        let masters: Vec<_> = identities(&layout())
            .into_iter()
            .filter(|identity| identity.group == "system:masters")
            .map(|i| i.file)
            .collect();
        assert_eq!(masters, ["admin", "kubelet-client"]);
    }

    #[test]
    fn certificates_are_made_once_and_a_lost_one_is_made_again() {
        let cache = tempfile::tempdir().unwrap();
        let mut layout = layout();
        layout.root = cache.path().to_path_buf();
        ensure(&layout).unwrap();
        let folder = layout.certificates();
        let (authority, admin) =
            (files::read(&folder.join("ca.crt")).unwrap(), files::read(&folder.join("admin.crt")).unwrap());
        std::fs::remove_file(folder.join("kube-proxy.crt")).unwrap();
        ensure(&layout).unwrap();
        assert_eq!(files::read(&folder.join("ca.crt")).unwrap(), authority);
        assert_eq!(files::read(&folder.join("admin.crt")).unwrap(), admin);
        assert!(folder.join("kube-proxy.crt").exists());
    }
}
