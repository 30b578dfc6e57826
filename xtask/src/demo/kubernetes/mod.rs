//! The demo on Kubernetes.
//!
//! build -> bring a cluster up -> install the operator -> apply the example -> show its progress until so many battles are
//! in the bucket -> suspend it -> verify the ledger -> compare every log with the server's own -> clear everything away ->
//! say what was found. All of it as a person would do it: with Helm, kubectl and `scrapefleet`.

mod bucket;
mod fleet;
mod forward;
mod kubectl;
mod manifest;
mod operator;
mod platform;
mod shown;
mod status;

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};

use super::{
    Found, INTERRUPTED, conclude, data_folder, folder, limit,
    report::Outcome,
    scrape,
    signals::{Interrupted, Signals},
    truth,
};
use crate::{
    arguments::DemoArguments,
    phase::Phases,
    process,
    project::Project,
    test::cluster::{Cluster, KUBECONFIG},
};
use fleet::{End, Fleet, NAMESPACE};
use kubectl::Kubectl;
use operator::Operator;

/// Where the data of a demo is unless a person says otherwise, under the root of the project.
const DATA: &str = "data/demo-kubernetes";
/// The folder of copies of the logs, under the data folder.
const LOGS: &str = "artifacts";

/// Does it all.
pub(super) async fn run(project: &Project, arguments: &DemoArguments) -> Result<ExitCode> {
    may_start_a_cluster()?;
    let mut phases = Phases::start("demo");
    let data = folder::fresh(&data_folder(project, arguments, DATA), arguments.keep)?;
    let mut signals = Signals::watch().context("signals cannot be watched")?;
    let mut stage = Stage::find(project).await;
    let found = stage.play(arguments, &data, &mut phases, &mut signals).await;
    let cleared = if arguments.keep {
        stage.say_what_is_kept();
        Ok(())
    } else {
        phases.run("clear away", signals.guard(Box::pin(stage.clear()))).await
    };
    let cleared = cleared.context(
        "not everything could be cleared away; the next demo does it, and `cargo xtask cluster down` takes this checkout's \
         cluster down",
    );
    match found {
        Ok(mut found) => {
            found.wrong.extend(cleared.err().map(|error| format!("{error:#}")));
            conclude(&found, &data, arguments, &phases)
        }
        Err(error) => {
            if let Err(left) = cleared {
                eprintln!("error: {left:#}");
            }
            if error.is::<Interrupted>() {
                eprintln!("The demo was interrupted.");
                return Ok(ExitCode::from(INTERRUPTED));
            }
            Err(error)
        }
    }
}

/// Fails early where a cluster would have to be started and cannot be.
fn may_start_a_cluster() -> Result<()> {
    if std::env::var_os(KUBECONFIG).is_some() || rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!(
        "the demo starts a Kubernetes cluster, and that takes root: run this as root, or name a test cluster with {KUBECONFIG}"
    )
}

/// What there is so far, and has to be cleared away.
struct Stage<'a> {
    project: &'a Project,
    cluster: Cluster,
    /// There once the cluster is up.
    kubectl: Option<Kubectl>,
    /// There when it is to be taken away again.
    operator: Option<Operator>,
    /// Whether something of the demo may be on the cluster.
    is_set: bool,
}

impl<'a> Stage<'a> {
    async fn find(project: &'a Project) -> Self {
        let cluster = Cluster::find(project).await;
        Self { project, cluster, kubectl: None, operator: None, is_set: false }
    }

    async fn play(
        &mut self,
        arguments: &DemoArguments,
        data: &Path,
        phases: &mut Phases,
        signals: &mut Signals,
    ) -> Result<Found> {
        let build = process::show(scrape::build(self.project));
        phases.run("build", signals.guard(build)).await?;
        let kubectl = phases.run("bring a cluster up", signals.guard(Box::pin(self.bring_up()))).await?;
        phases.run("install the operator", signals.guard(Box::pin(self.install()))).await?;
        let fleet = Fleet::of(&kubectl, &self.project.root, data)?;
        self.is_set = true;
        phases.run("apply the fleet", signals.guard(Box::pin(fleet.apply()))).await?;
        let watch = Box::pin(fleet.watch(arguments.battles, limit(arguments.battles), signals));
        let (end, mut run) = phases.run("scrape", watch).await?;
        phases.run("suspend the fleet", signals.guard(Box::pin(fleet.suspend()))).await?;
        let program = self.project.program("scrapefleet");
        let check = phases.run("verify", signals.guard(Box::pin(fleet.check(&program))));
        let (ledger, stored, comparison) = check.await?;
        truth::copy(&stored, &data.join(LOGS))?;
        run.bytes = stored.values().map(|log| u64::try_from(log.len()).ok()).sum();
        let (wrong, interrupted) = match end {
            End::Stored => (None, false),
            End::Interrupted => (Some("the scrape was interrupted".to_owned()), true),
            End::Failed(why) => (Some(why), false),
        };
        Ok(Found {
            outcome: Outcome { wanted: arguments.battles, seed: None, run, ledger, comparison },
            logs: data.join(LOGS),
            wrong: wrong.into_iter().collect(),
            interrupted,
        })
    }

    async fn bring_up(&mut self) -> Result<Kubectl> {
        self.cluster.bring_up(self.project).await?;
        let kubectl = Kubectl::of(&self.project.root, self.cluster.kubeconfig.clone()).await?;
        self.kubectl = Some(kubectl.clone());
        Ok(kubectl)
    }

    /// Installs the operator. Where it is installed already it is upgraded to the chart of this checkout, and stays; that of a
    /// named cluster is taken as it is.
    async fn install(&mut self) -> Result<()> {
        let operator = Operator::of(&self.project.root, self.cluster.kubeconfig.clone()).await?;
        let was_there = operator.is_installed().await?;
        if was_there && self.cluster.named {
            eprintln!("   the named cluster has an operator, which is taken as it is");
            return Ok(());
        }
        if was_there {
            return operator.install().await;
        }
        self.operator.insert(operator).install().await
    }

    /// Ends whatever was started. A cluster that goes takes everything along; on one that stays, each thing goes before what
    /// it needs. What fails is told and keeps nothing else from being ended.
    async fn clear(self) -> Result<()> {
        let stays = !self.cluster.started;
        let mut failed = Vec::new();
        if let Some(kubectl) = self.kubectl.filter(|_| stays && self.is_set) {
            failed.extend(fleet::clear(&kubectl).await.err());
        }
        if let Some(operator) = self.operator.filter(|_| stays) {
            failed.extend(operator.uninstall().await.err());
        }
        failed.extend(self.cluster.end(self.project).await.err());
        if failed.is_empty() {
            return Ok(());
        }
        bail!("{}", failed.iter().map(|error| format!("{error:#}")).collect::<Vec<_>>().join("; "))
    }

    fn say_what_is_kept(&self) {
        if self.is_set {
            let kubeconfig = self.cluster.kubeconfig.display();
            eprintln!("Kept for a look: KUBECONFIG={kubeconfig} kubectl --namespace {NAMESPACE} get sf,pods");
        }
        if self.cluster.started {
            eprintln!("Kept too: the cluster; `cargo xtask cluster down` takes it down.");
        }
    }
}
