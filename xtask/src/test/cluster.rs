//! The cluster that tests and the demo run on: the one that is named, or this checkout's own, which is started for them and
//! taken down again unless it was up before.

use std::{ffi::OsString, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::executable::{Executable, Needs};
use crate::{process, project::Project};

/// Names the cluster that tests and the demo run on.
pub(crate) const KUBECONFIG: &str = "SCRAPEFLEET_E2E_KUBECONFIG";

/// Names the Helm that tests use.
const HELM: &str = "SCRAPEFLEET_HELM";

/// Names this program to tests.
const XTASK: &str = "SCRAPEFLEET_XTASK";

/// The images that tests use and the platform does not bring along.
const IMAGES: [&str; 2] = ["chrome", "scrapefleet"];

/// How long a question about the cluster may take.
const ASKED_WITHIN: Duration = Duration::from_secs(30);

/// A cluster to run tests on.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// The file that says how to reach it; empty as long as it is not up.
    pub(crate) kubeconfig: OsString,
    /// Whether it is this checkout's own.
    own: bool,
    /// Whether it is taken as it is, because a person has named it.
    pub(crate) named: bool,
    /// Whether it was started here, and so is to be taken down.
    pub(crate) started: bool,
}

impl Cluster {
    /// Fails early where a cluster would be needed and could not be had.
    pub(crate) fn check() -> Result<()> {
        if std::env::var_os(KUBECONFIG).is_some() || rustix::process::geteuid().is_root() {
            return Ok(());
        }
        bail!(
            "the tests on a Kubernetes cluster start one, and that takes root: run this as root, name a cluster with \
             {KUBECONFIG}, or leave those tests out with --no-cluster"
        )
    }

    /// The named cluster, or this checkout's own with everything on it that tests use.
    pub(crate) async fn ensure(project: &Project) -> Result<Self> {
        Self::find(project).await.up(project).await
    }

    /// The same with everything on it that tests use; taken down again if that fails.
    pub(crate) async fn up(mut self, project: &Project) -> Result<Self> {
        if let Err(error) = self.bring_up(project).await {
            self.end(project).await?;
            return Err(error);
        }
        Ok(self)
    }

    /// The named cluster, or this checkout's own, whether it is up or not.
    pub(crate) async fn find(project: &Project) -> Self {
        let own = own(project).await;
        if let Some(kubeconfig) = std::env::var_os(KUBECONFIG) {
            let own = own.is_ok_and(|own| own == kubeconfig);
            return Self { own, kubeconfig, named: true, started: false };
        }
        Self { kubeconfig: OsString::new(), own: true, named: false, started: own.is_err() }
    }

    /// Starts it, or repairs what is missing of it, with all images that tests use; a named one is left as it is. Whatever
    /// comes of it, and also when it is given up half-way, [`Cluster::end`] takes down what was started.
    pub(crate) async fn bring_up(&mut self, project: &Project) -> Result<()> {
        if !self.named {
            self.kubeconfig = Self::start(project).await?;
        }
        Ok(())
    }

    async fn start(project: &Project) -> Result<OsString> {
        process::show(cluster(project, &["up"])).await?;
        for image in IMAGES {
            process::show(cluster(project, &["load-image", image])).await?;
        }
        own(project).await
    }

    /// What programs that use it are told: how to reach it, the Helm by which the operator is installed as a person installs
    /// it, and this program, for harming nodes.
    pub(crate) async fn variables(&self, project: &Project) -> Result<Vec<(&'static str, OsString)>> {
        let xtask = project.executable.clone().into_os_string();
        let mut variables = vec![(KUBECONFIG, self.kubeconfig.clone()), (XTASK, xtask)];
        if std::env::var_os(HELM).is_none() {
            variables.push((HELM, super::program(project, "helm").await?.into()));
        }
        Ok(variables)
    }

    /// Those that can run on it; says which cannot.
    pub(super) fn possible(&self, mut executables: Vec<Executable>) -> Vec<Executable> {
        let harms = |executable: &Executable| executable.needs() == Needs::OwnCluster && !self.own;
        let left_out: Vec<_> = executables.extract_if(.., |executable| harms(executable)).collect();
        if !left_out.is_empty() {
            let sources: Vec<_> = left_out.into_iter().map(|executable| executable.source).collect();
            eprintln!("Left out on a cluster that is not this checkout's own: {}", sources.join(", "));
        }
        executables
    }

    /// Takes the cluster down if it was started here.
    pub(crate) async fn end(self, project: &Project) -> Result<()> {
        if self.started { process::show(cluster(project, &["down"])).await } else { Ok(()) }
    }
}

/// The kubeconfig of this checkout's own cluster, if it is up.
async fn own(project: &Project) -> Result<OsString> {
    let said = process::read(cluster(project, &["env"]), ASKED_WITHIN).await?;
    let kubeconfig = said.lines().find_map(|line| line.strip_prefix("export KUBECONFIG="));
    kubeconfig.map(OsString::from).context("`cluster env` names no KUBECONFIG")
}

fn cluster(project: &Project, arguments: &[&str]) -> Command {
    let mut command = Command::new(&project.executable);
    command.arg("cluster").args(arguments);
    command
}
