//! The cluster that tests and the demo run on: the one that is named, or this checkout's own, which is started for them and
//! taken down again unless it was up before.

use std::{ffi::OsString, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::{CHAOS, package};
use crate::{process, project::Project};

/// Names the cluster that tests and the demo run on.
pub(crate) const KUBECONFIG: &str = "SCRAPEFLEET_E2E_KUBECONFIG";

/// The images that tests use and the platform does not bring along.
const IMAGES: [&str; 2] = ["chrome", "scrapefleet"];

/// Tests that harm nodes or processes on them or start clusters, which only a cluster of this project lets them do.
const OWN_CLUSTER_ONLY: [&str; 3] = ["leader", "lifecycle", "nodes"];

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
        let mut cluster = Self::find(project).await;
        if let Err(error) = cluster.bring_up(project).await {
            cluster.end(project).await?;
            return Err(error);
        }
        Ok(cluster)
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

    /// The tests of these packages that can run on it, as arguments of cargo.
    pub(super) fn selection(&self, project: &Project, packages: &[&str]) -> Result<Vec<OsString>> {
        let possible = packages.iter().filter(|name| self.own || **name != CHAOS);
        let mut selection: Vec<_> = possible.flat_map(|name| package(name)).collect();
        if self.own || selection.is_empty() {
            return Ok(selection);
        }
        let left_out = OWN_CLUSTER_ONLY.join(", ");
        eprintln!("Left out on a cluster that is not this checkout's own: {left_out}, {CHAOS}");
        for file in std::fs::read_dir(project.root.join("tests/e2e/tests")).context("list tests/e2e/tests")? {
            let name = file?.path().file_stem().unwrap_or_default().to_owned();
            if !OWN_CLUSTER_ONLY.iter().any(|own| name == *own) {
                selection.extend(["--test".into(), name]);
            }
        }
        Ok(selection)
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
