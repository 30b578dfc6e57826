//! The `test` task: set up, build, run every test.

pub(crate) mod cluster;
mod executable;
mod execution;
mod preparation;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::process::Command;

use cluster::Cluster;
use executable::{Executable, Needs, ON_A_CLUSTER};
use execution::{Execution, Outcome};
use preparation::Preparation;

use crate::{arguments::TestArguments, phase::Phases, process, project::Project, setup};

/// Names the MinIO that tests of the store use.
const MINIO: &str = "SCRAPEFLEET_MINIO";

/// The tests on MinIO are built with this.
const FEATURES: &str = "scrapefleet-store/minio";

/// Sets up, builds and tests. Set-up and build must succeed before anything else; then every test runs, also
/// after one has failed, so that one run shows all that is wrong. The tests on a cluster come last, so that no
/// cluster takes processor time from the others; what the cluster is made of is built beside those.
pub(crate) async fn run(project: &Project, arguments: &TestArguments) -> Result<ExitCode> {
    let until = arguments.begin_within.map(|minutes| Instant::now() + Duration::from_mins(minutes));
    let mut phases = Phases::start("test");
    phases.run("setup", setup::ensure()).await?;
    let plan = Plan::of(phases.run("build", build(project, arguments)).await?, arguments.no_cluster)?;
    let cluster = if plan.there.is_empty() { None } else { Some(Cluster::find(project).await) };
    let prepares = cluster.as_ref().is_some_and(|cluster| !cluster.named);
    let preparation = if prepares { Some(Preparation::start(project)?) } else { None };

    let mut execution = Execution { filters: arguments.filters.clone(), variables: Vec::new() };
    let mut failed = phases.run("test", execution.beside(&plan.here)).await;
    if arguments.packages.is_empty() && arguments.filters.is_empty() {
        let examples = project.cargo(&["test", "--quiet", "--workspace", "--doc", "--features", FEATURES]);
        let passed = phases.run("test examples", process::show(examples)).await.is_ok();
        failed.extend((!passed).then(|| "examples in the documentation".to_owned()));
    }
    if let Some(preparation) = preparation {
        phases.run("prepare a cluster", preparation.finish()).await?;
    }
    if !plan.on_minio.is_empty() {
        execution.variables.push((MINIO, program(project, "minio").await?.into()));
        failed.extend(phases.run("test on MinIO", execution.beside(&plan.on_minio)).await);
    }
    let mut too_late = Vec::new();
    if let Some(cluster) = cluster {
        let outcome = on_a_cluster(project, cluster, plan.there, execution, until, &mut phases).await?;
        failed.extend(outcome.failed);
        too_late = outcome.left_out;
    }
    let took = phases.summary();
    if !too_late.is_empty() {
        eprintln!("Left out, because the time to begin was over: {}.", too_late.join(", "));
    }
    if plan.left_out > 0 {
        eprintln!(
            "Left out, as told: {} executables of tests on a Kubernetes cluster and on MinIO.",
            plan.left_out
        );
    }
    Ok(if failed.is_empty() {
        eprintln!("All tests passed, in {took}.");
        ExitCode::SUCCESS
    } else {
        eprintln!(
            "Tests FAILED, each named above under `failures:`, in {}. It took {took}.",
            failed.join(", ")
        );
        ExitCode::FAILURE
    })
}

/// Runs tests on a cluster, which is taken down if it was started for them, also on Ctrl-C.
async fn on_a_cluster(
    project: &Project,
    cluster: Cluster,
    executables: Vec<Executable>,
    mut execution: Execution,
    until: Option<Instant>,
    phases: &mut Phases,
) -> Result<Outcome> {
    let cluster = phases.run("start a cluster", cluster.up(project)).await?;
    let executables = cluster.possible(executables);
    execution.variables.extend(cluster.variables(project).await?);
    let tests = async {
        tokio::select! {
            outcome = execution.in_turn(&executables, until) => Ok(outcome),
            interrupt = tokio::signal::ctrl_c() => interrupt.map_err(Into::into).and_then(|()| bail!("interrupted")),
        }
    };
    let outcome = phases.run("test on the cluster", tests).await;
    phases.run("end the cluster", cluster.end(project)).await?;
    outcome
}

/// One of the cluster's programs, built where it is not there yet.
pub(crate) async fn program(project: &Project, name: &'static str) -> Result<PathBuf> {
    let root = project.root.clone();
    tokio::task::spawn_blocking(move || crate::cluster::program(&root, name)).await?
}

/// Which executables run where.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    here: Vec<Executable>,
    on_minio: Vec<Executable>,
    there: Vec<Executable>,
    /// How many run nowhere, as a person has said.
    left_out: usize,
}

impl Plan {
    /// Fails early where a cluster would be needed and could not be had, and where nothing would run.
    fn of(executables: Vec<Executable>, no_cluster: bool) -> Result<Self> {
        let mut plan = Self::default();
        for executable in executables {
            match executable.needs() {
                Needs::Nothing => plan.here.push(executable),
                _ if no_cluster => plan.left_out += 1,
                Needs::Minio => plan.on_minio.push(executable),
                Needs::Cluster | Needs::OwnCluster => plan.there.push(executable),
            }
        }
        // Those that harm the most come last.
        let place = |executable: &Executable| {
            ON_A_CLUSTER.iter().position(|folder| executable.source.starts_with(folder))
        };
        plan.there.sort_by_key(place);
        if !plan.there.is_empty() {
            Cluster::check()?;
        }
        if plan.here.is_empty() && plan.on_minio.is_empty() && plan.there.is_empty() {
            bail!("nothing is left to test: what was named is left out with --no-cluster");
        }
        Ok(plan)
    }
}

/// Builds the programs, which end-to-end tests start, and the tests that were asked for.
async fn build(project: &Project, arguments: &TestArguments) -> Result<Vec<Executable>> {
    process::show(project.cargo(&["build", "--workspace", "--bins"])).await?;
    Executable::all(&process::show_and_read(tests(project, arguments)).await?, &project.root)
}

fn tests(project: &Project, arguments: &TestArguments) -> Command {
    // What is built is named on stdout; warnings, errors and how far it is are for a person, as ever.
    let mut command = project.cargo(&["test", "--no-run", "--message-format=json-render-diagnostics"]);
    for package in &arguments.packages {
        command.args(["--package", package]);
    }
    let named = |name: &str| arguments.packages.iter().any(|package| package == name);
    if arguments.packages.is_empty() {
        command.args(["--workspace", "--features", FEATURES]);
    } else if named("scrapefleet-store") {
        command.args(["--features", FEATURES]);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(source: &str) -> Executable {
        Executable { source: source.to_owned(), folder: PathBuf::new(), file: PathBuf::new() }
    }

    fn sources(executables: &[Executable]) -> Vec<&str> {
        executables.iter().map(|executable| executable.source.as_str()).collect()
    }

    fn words(packages: &[&str]) -> Vec<String> {
        let project = Project { root: "/p".into(), executable: "/t/xtask".into(), cargo: "cargo".into() };
        let packages = packages.iter().map(|name| (*name).to_owned()).collect();
        let command = tests(&project, &TestArguments { packages, ..TestArguments::default() });
        command.as_std().get_args().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn what_needs_a_cluster_is_left_out_when_that_is_said() {
        let all = [
            "crates/queue/src/lib.rs",
            "crates/store/tests/s3/main.rs",
            "tests/e2e/src/lib.rs",
            "tests/e2e/tests/fleet.rs",
        ];
        let plan = Plan::of(all.map(built).to_vec(), true).unwrap();
        assert_eq!(sources(&plan.here), ["crates/queue/src/lib.rs", "tests/e2e/src/lib.rs"]);
        assert_eq!((plan.on_minio.len(), plan.there.len(), plan.left_out), (0, 0, 2));
        let nothing = Plan::of(vec![built("tests/e2e/tests/fleet.rs")], true).unwrap_err();
        assert!(nothing.to_string().contains("--no-cluster"), "{nothing}");
    }

    #[test]
    fn all_packages_are_tested_unless_some_are_named() {
        assert_eq!(words(&[])[3..], ["--workspace", "--features", FEATURES]);
        assert_eq!(words(&["a", "b"])[3..], ["--package", "a", "--package", "b"]);
        assert_eq!(words(&["scrapefleet-store"])[5..], ["--features", FEATURES]);
    }
}
