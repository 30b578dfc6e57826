//! The `test` task: set up, build, run every test.

pub(crate) mod cluster;
mod executable;
mod execution;
mod lane;
mod preparation;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::process::Command;

use executable::{Executable, Needs};
use execution::{Execution, Outcome};
use lane::Lane;

use crate::{arguments::TestArguments, phase::Phases, process, project::Project, setup};

/// The tests on MinIO are built with this.
const FEATURES: &str = "scrapefleet-store/minio";

/// Sets up, builds and tests. Set-up and build must succeed before anything else; then every test runs, also
/// after one has failed, so that one run shows all that is wrong. What the cluster is made of is built beside the tests that
/// need none; once it is there, tests on it run beside what is left of those. What measures time, or harms the cluster, comes
/// last and alone.
pub(crate) async fn run(project: &Project, arguments: &TestArguments) -> Result<ExitCode> {
    let until = arguments.begin_within.map(|minutes| Instant::now() + Duration::from_mins(minutes));
    let mut phases = Phases::start("test");
    phases.run("setup", setup::ensure()).await?;
    let plan = Plan::of(phases.run("build", build(project, arguments)).await?, arguments.no_cluster)?;
    let execution = Execution { filters: arguments.filters.clone(), variables: Vec::new() };
    let mut lane = Lane::begin(project, &plan, execution.clone()).await?;
    let here = async {
        let mut failed = execution.beside(&plan.here).await;
        if arguments.packages.is_empty() && arguments.filters.is_empty() && !examples_pass(project).await {
            failed.push("examples in the documentation".to_owned());
        }
        failed
    };
    let outcome = tokio::select! {
        outcome = all(here, &mut lane, &plan, until, &mut phases) => outcome,
        interrupt = tokio::signal::ctrl_c() => interrupt.map_err(Into::into).and_then(|()| bail!("interrupted")),
    };
    phases.run("end what was started", lane.end()).await?;
    Ok(plan.tell(&outcome?, &phases.summary()))
}

/// All tests, in the order in which they disturb each other least.
async fn all(
    here: impl Future<Output = Vec<String>>,
    lane: &mut Lane<'_>,
    plan: &Plan,
    until: Option<Instant>,
    phases: &mut Phases,
) -> Result<Outcome> {
    let (here, beside) = phases.run("test", async { tokio::join!(here, lane.beside(plan)) }).await;
    let mut outcome = Outcome { failed: [here, beside?].concat(), ..Outcome::default() };
    if !plan.alone.is_empty() {
        let alone = phases.run("test alone on the cluster", lane.alone(plan, until)).await;
        outcome.failed.extend(alone.failed);
        outcome.left_out = alone.left_out;
    }
    Ok(outcome)
}

/// Whether the examples in the documentation pass.
async fn examples_pass(project: &Project) -> bool {
    let examples = project.cargo(&["test", "--quiet", "--workspace", "--doc", "--features", FEATURES]);
    process::show(examples).await.is_ok()
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
    /// On a cluster, beside others.
    beside: Vec<Executable>,
    /// On a cluster, with nothing beside.
    alone: Vec<Executable>,
    /// How many run nowhere, as a person has said.
    left_out: usize,
}

impl Plan {
    /// Fails where nothing would run.
    fn of(executables: Vec<Executable>, no_cluster: bool) -> Result<Self> {
        let mut plan = Self::default();
        for executable in executables {
            match executable.needs() {
                Needs::Nothing => plan.here.push(executable),
                _ if no_cluster => plan.left_out += 1,
                Needs::Minio => plan.on_minio.push(executable),
                Needs::Cluster | Needs::OwnCluster if executable.runs_alone() => plan.alone.push(executable),
                Needs::Cluster | Needs::OwnCluster => plan.beside.push(executable),
            }
        }
        // Those that harm the most come last.
        plan.alone.sort_by_key(Executable::is_of_chaos);
        if plan.here.is_empty() && plan.on_minio.is_empty() && !plan.needs_a_cluster() {
            bail!("nothing is left to test: what was named is left out with --no-cluster");
        }
        Ok(plan)
    }

    fn needs_a_cluster(&self) -> bool {
        !(self.beside.is_empty() && self.alone.is_empty())
    }

    /// Says what became of all of them.
    fn tell(&self, outcome: &Outcome, took: &str) -> ExitCode {
        if self.left_out > 0 {
            eprintln!(
                "Left out, as told: {} executables of tests on a Kubernetes cluster and on MinIO.",
                self.left_out
            );
        }
        if !outcome.failed.is_empty() {
            let failed = outcome.failed.join(", ");
            eprintln!("Tests FAILED, each named above under `failures:`, in {failed}. It took {took}.");
            return ExitCode::FAILURE;
        }
        match outcome.left_out.as_slice() {
            [] => eprintln!("All tests passed, in {took}."),
            late => eprintln!(
                "All tests passed, in {took}, but these: the time to begin them was over: {}.",
                late.join(", ")
            ),
        }
        ExitCode::SUCCESS
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
        assert_eq!((plan.on_minio.len(), plan.needs_a_cluster(), plan.left_out), (0, false, 2));
        let nothing = Plan::of(vec![built("tests/e2e/tests/fleet.rs")], true).unwrap_err();
        assert!(nothing.to_string().contains("--no-cluster"), "{nothing}");
    }

    #[test]
    fn what_measures_time_or_does_harm_runs_alone_and_chaos_last() {
        let all = [
            "tests/chaos/tests/faults.rs",
            "tests/e2e/tests/conditions.rs",
            "tests/e2e/tests/queue.rs",
            "tests/e2e/tests/leader.rs",
        ];
        let plan = Plan::of(all.map(built).to_vec(), false).unwrap();
        assert_eq!(sources(&plan.beside), ["tests/e2e/tests/queue.rs"]);
        assert_eq!(sources(&plan.alone), [all[1], all[3], all[0]]);
    }

    #[test]
    fn all_packages_are_tested_unless_some_are_named() {
        assert_eq!(words(&[])[3..], ["--workspace", "--features", FEATURES]);
        assert_eq!(words(&["a", "b"])[3..], ["--package", "a", "--package", "b"]);
        assert_eq!(words(&["scrapefleet-store"])[5..], ["--features", FEATURES]);
    }
}
