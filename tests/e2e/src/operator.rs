//! The operator, installed as a person installs it: with Helm.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease, core::v1::Pod};
use kube::api::{DeleteParams, ListParams};
use scrapefleet_policy::within;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::space::{Space, kubeconfig};

/// The namespace it is installed in.
pub const NAMESPACE: &str = "scrapefleet-system";
/// The name of its release.
const RELEASE: &str = "scrapefleet";
/// How long Helm may take, until the operator is ready.
const INSTALLED_WITHIN: Duration = Duration::from_mins(3);

/// How many operators there are.
const OPERATORS: i32 = 2;
/// How long they may take to be ready: a node waits for minutes before it starts again what has ended often.
const READY_WITHIN: Duration = Duration::from_mins(6);

/// How long one call of the API server may take.
const CALL_WITHIN: Duration = Duration::from_secs(10);

/// Whether this process has installed it: tests run side by side, and Helm refuses two operations at once.
static INSTALLED: OnceCell<()> = OnceCell::const_new();

/// Installs the operator, or upgrades it to the chart of this checkout, and waits until it is ready. Once a process.
pub async fn install() -> Result<()> {
    INSTALLED.get_or_try_init(upgrade).await.copied()
}

async fn upgrade() -> Result<()> {
    upgrade_to(&chart(), &[]).await
}

/// The chart of this checkout.
#[must_use]
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/scrapefleet")
}

/// Installs a chart, or upgrades to it, with the values of the test cluster and these, and waits until it is ready.
pub async fn upgrade_to(chart: &Path, values: &[&str]) -> Result<()> {
    let mut helm = helm("upgrade")?;
    helm.arg("--install")
        .arg(RELEASE)
        .arg(chart)
        .arg("--values")
        .arg(self::chart().join("ci/test-cluster-values.yaml"));
    helm.args(["--create-namespace", "--wait", "--timeout", "2m"]);
    for value in values {
        helm.args(["--set", value]);
    }
    run(helm).await
}

/// Runs the chart's own test.
pub async fn test() -> Result<()> {
    let mut helm = helm("test")?;
    helm.args([RELEASE, "--timeout", "1m"]);
    run(helm).await
}

/// Removes what the chart has installed.
pub async fn uninstall() -> Result<()> {
    let mut helm = helm("uninstall")?;
    helm.args([RELEASE, "--wait", "--timeout", "1m"]);
    run(helm).await
}

/// A command of Helm, that of the test cluster or the one on the path, in the operator's namespace.
fn helm(command: &str) -> Result<Command> {
    let mut helm = Command::new(std::env::var_os("SCRAPEFLEET_HELM").unwrap_or_else(|| "helm".into()));
    helm.args([command, "--namespace", NAMESPACE]);
    helm.env("KUBECONFIG", kubeconfig()?).stdin(Stdio::null()).kill_on_drop(true);
    Ok(helm)
}

async fn run(mut helm: Command) -> Result<()> {
    let output = within(INSTALLED_WITHIN, "helm", helm.output())
        .await?
        .context("helm cannot be started; `cargo xtask test` says where it is with SCRAPEFLEET_HELM")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm ended with {}: {said}", output.status);
    Ok(())
}

/// The namespace of the operator, for a look at its objects.
#[must_use]
pub fn space_of(space: &Space) -> Space {
    space.elsewhere(NAMESPACE)
}

/// Who leads: what the Lease says, which begins with the name of a pod.
pub async fn leader(system: &Space) -> Result<String> {
    let leases = system.api::<Lease>();
    let lease = within(CALL_WITHIN, "read the lease", leases.get("scrapefleet")).await??;
    lease
        .spec
        .and_then(|spec| spec.holder_identity)
        .filter(|holder| !holder.is_empty())
        .context("nobody leads")
}

/// The pods of all operators.
pub async fn pods(system: &Space) -> Result<Vec<Pod>> {
    let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
    let found = within(CALL_WITHIN, "list operators", system.api::<Pod>().list(&operators)).await??;
    let stays = |pod: &Pod| pod.metadata.deletion_timestamp.is_none();
    Ok(found.items.into_iter().filter(stays).collect())
}

/// The pod of who leads.
pub async fn leading_pod(system: &Space) -> Result<(String, Pod)> {
    let leader = leader(system).await?;
    let (name, _) = leader.split_once('_').context("an identity begins with the name of the pod")?;
    let pod = within(CALL_WITHIN, "read the leader's pod", system.api::<Pod>().get(name)).await??;
    Ok((leader, pod))
}

/// Waits until all operators are ready, so that one can take over.
pub async fn stand_ready(system: &Space) -> Result<()> {
    let deployments = system.api::<Deployment>();
    let are_ready = async || {
        let status = deployments.get(RELEASE).await?.status;
        Ok((status.and_then(|status| status.ready_replicas) >= Some(OPERATORS)).then_some(()))
    };
    system.until("all operators are ready", READY_WITHIN, are_ready).await
}

/// Has another pod take the place of one whose operator has ended: in the same pod, a node starts it later each time.
pub async fn replace(system: &Space, pod: &Pod) -> Result<()> {
    let name = pod.metadata.name.as_deref().context("a pod without a name")?;
    let (pods, how) = (system.api::<Pod>(), DeleteParams::default());
    within(CALL_WITHIN, "delete an operator's pod", pods.delete(name, &how)).await??;
    Ok(())
}
