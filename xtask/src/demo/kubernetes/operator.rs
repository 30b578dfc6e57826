//! The operator, installed as a person installs it: with Helm.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Result;
use tokio::process::Command;

use super::kubectl;
use crate::process;

/// The namespace it is installed in, and the name of its release.
const NAMESPACE: &str = "scrapefleet-system";
const RELEASE: &str = "scrapefleet";

/// How long Helm may take to answer, and to install or uninstall.
const ANSWERS_WITHIN: Duration = Duration::from_mins(1);
const CHANGES_WITHIN: Duration = Duration::from_mins(5);

/// Helm, for the one release.
#[derive(Debug)]
pub(super) struct Operator {
    helm: PathBuf,
    chart: PathBuf,
    kubeconfig: OsString,
}

impl Operator {
    /// The chart of this checkout, for that cluster. Helm is built if it is missing.
    pub(super) async fn of(root: &Path, kubeconfig: OsString) -> Result<Self> {
        let helm = kubectl::program(root, "helm").await?;
        Ok(Self { helm, chart: root.join("charts/scrapefleet"), kubeconfig })
    }

    /// Whether it is installed, in whatever version and state.
    pub(super) async fn is_installed(&self) -> Result<bool> {
        let filter = format!("--filter=^{RELEASE}$");
        let list = self.helm(&["list", "--all", "--short", &filter]);
        Ok(is_among(&process::read(list, ANSWERS_WITHIN).await?))
    }

    /// Installs it, or upgrades it to the chart of this checkout, and waits until it is ready.
    pub(super) async fn install(&self) -> Result<()> {
        process::read(self.install_command(), CHANGES_WITHIN).await.map(drop)
    }

    /// Takes it away; the definition and all fleets stay, as the chart has it.
    pub(super) async fn uninstall(&self) -> Result<()> {
        let uninstall = self.helm(&["uninstall", RELEASE, "--wait", "--timeout", "2m"]);
        process::read(uninstall, CHANGES_WITHIN).await.map(drop)
    }

    fn install_command(&self) -> Command {
        let mut install = self.helm(&["upgrade", "--install", RELEASE]);
        install.arg(&self.chart).args(["--create-namespace", "--wait", "--timeout", "4m", "--values"]);
        install.arg(self.chart.join("ci/test-cluster-values.yaml"));
        install
    }

    fn helm(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut helm = Command::new(&self.helm);
        helm.args(arguments).args(["--namespace", NAMESPACE]).env("KUBECONFIG", &self.kubeconfig);
        // Ctrl-C at the terminal does not reach it: whoever calls decides whether it goes on.
        helm.stdin(Stdio::null()).process_group(0);
        helm
    }
}

/// Whether the release is among those that Helm lists.
fn is_among(listed: &str) -> bool {
    listed.lines().any(|line| line == RELEASE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(helm: &Path) -> Operator {
        Operator { helm: helm.to_owned(), chart: "/c/scrapefleet".into(), kubeconfig: "/k".into() }
    }

    #[test]
    fn it_is_installed_as_a_person_would_and_waited_for() {
        let command = operator(Path::new("/t/helm")).install_command();
        let words: Vec<_> = command.as_std().get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(
            words.join(" "),
            "upgrade --install scrapefleet --namespace scrapefleet-system /c/scrapefleet --create-namespace --wait \
             --timeout 4m --values /c/scrapefleet/ci/test-cluster-values.yaml"
        );
    }

    #[test]
    fn it_is_there_when_helm_lists_its_very_name() {
        for (listed, there) in [("scrapefleet\n", true), ("scrapefleet-2\n", false), ("", false)] {
            assert_eq!(is_among(listed), there, "{listed}");
        }
    }
}
