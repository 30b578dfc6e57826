//! The `test` task: set up, build, run every test.

pub(crate) mod cluster;
pub(crate) mod executable;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use tokio::process::Command;

use cluster::Cluster;

use crate::{arguments::TestArguments, phase::Phases, process, project::Project, setup};

/// The package whose tests need a Kubernetes cluster.
const ON_A_CLUSTER: &str = "scrapefleet-e2e";

/// Names the Helm that tests use.
pub(crate) const HELM: &str = "SCRAPEFLEET_HELM";

/// Sets up, builds and tests. Set-up and build must succeed before anything else; then every test runs, also
/// after one has failed, so that one run shows all that is wrong. The tests on a cluster come last, so that no
/// cluster takes processor time from the others.
pub(crate) async fn run(project: &Project, arguments: &TestArguments) -> Result<ExitCode> {
    let wanted = Wanted::of(arguments);
    if wanted.on_a_cluster {
        Cluster::check()?;
    } else if wanted.here.is_empty() {
        bail!("nothing is left to test: {ON_A_CLUSTER} was named and left out with --no-cluster");
    }
    let mut phases = Phases::start("test");
    phases.run("setup", setup::ensure()).await?;
    phases.run("build", build(project, &wanted)).await?;
    let mut passed = true;
    if !wanted.here.is_empty() {
        passed &= phases.run("test", process::show(test(project, &wanted.here, arguments))).await.is_ok();
    }
    if wanted.on_a_cluster && wanted.everything() {
        passed &= phases.run("test on MinIO", test_on_minio(project, arguments)).await.is_ok();
    }
    if wanted.on_a_cluster {
        passed &= test_on_a_cluster(project, arguments, &mut phases).await?;
    }
    let took = phases.summary();
    if arguments.no_cluster {
        eprintln!("Left out, as told: the tests on a Kubernetes cluster ({ON_A_CLUSTER}) and on MinIO.");
    }
    Ok(if passed {
        eprintln!("All tests passed, in {took}.");
        ExitCode::SUCCESS
    } else {
        eprintln!("Some tests FAILED; each is named above under `failures:`. It took {took}.");
        ExitCode::FAILURE
    })
}

/// The store's tests on a real object store, whose program is one of the cluster's.
async fn test_on_minio(project: &Project, arguments: &TestArguments) -> Result<()> {
    let minio = program(project, "minio").await?;
    let store = ["--package", "scrapefleet-store", "--features", "minio", "--test", "s3"].map(OsString::from);
    let mut tests = test(project, &store, arguments);
    tests.env("SCRAPEFLEET_MINIO", minio);
    process::show(tests).await
}

/// One of the cluster's programs, built where it is not there yet.
pub(crate) async fn program(project: &Project, name: &'static str) -> Result<PathBuf> {
    let root = project.root.clone();
    tokio::task::spawn_blocking(move || crate::cluster::program(&root, name)).await?
}

/// Whether the tests on a cluster passed. A cluster that was started for them is taken down, also on Ctrl-C.
async fn test_on_a_cluster(
    project: &Project,
    arguments: &TestArguments,
    phases: &mut Phases,
) -> Result<bool> {
    let cluster = phases.run("start a cluster", Cluster::ensure(project)).await?;
    let mut tests = test(project, &cluster.selection(project)?, arguments);
    tests.env(cluster::KUBECONFIG, &cluster.kubeconfig);
    // The operator is installed as a person installs it.
    if std::env::var_os(HELM).is_none() {
        tests.env(HELM, program(project, "helm").await?);
    }
    let tests = async {
        tokio::select! {
            passed = process::show(tests) => passed,
            interrupt = tokio::signal::ctrl_c() => interrupt.map_err(Into::into).and_then(|()| bail!("interrupted")),
        }
    };
    let passed = phases.run("test on the cluster", tests).await;
    phases.run("end the cluster", cluster.end(project)).await?;
    Ok(passed.is_ok())
}

/// What is to be tested.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    /// Which packages without a cluster, as arguments of cargo; none of them: nothing.
    here: Vec<OsString>,
    on_a_cluster: bool,
}

impl Wanted {
    /// The packages that were named, or all.
    fn of(arguments: &TestArguments) -> Self {
        let on_a_cluster = !arguments.no_cluster;
        if arguments.packages.is_empty() {
            let here = ["--workspace", "--exclude", ON_A_CLUSTER].map(OsString::from).to_vec();
            return Self { here, on_a_cluster };
        }
        let (there, here): (Vec<_>, Vec<_>) =
            arguments.packages.iter().partition(|name| *name == ON_A_CLUSTER);
        let here = here.into_iter().flat_map(|name| package(name)).collect();
        Self { here, on_a_cluster: on_a_cluster && !there.is_empty() }
    }

    /// Whether no packages were named.
    fn everything(&self) -> bool {
        self.here.first().is_some_and(|first| first == "--workspace")
    }

    /// All of it, as arguments of cargo.
    fn selection(&self) -> Vec<OsString> {
        let there = if self.on_a_cluster { package(ON_A_CLUSTER).to_vec() } else { Vec::new() };
        if self.everything() && self.on_a_cluster {
            return vec!["--workspace".into()];
        }
        [self.here.clone(), there].concat()
    }
}

fn package(name: &str) -> [OsString; 2] {
    ["--package".into(), name.into()]
}

async fn build(project: &Project, wanted: &Wanted) -> Result<()> {
    // End-to-end tests start the `scrapefleet` program that stands beside them.
    process::show(project.cargo(&["build", "--workspace", "--bins"])).await?;
    let mut command = project.cargo(&["test", "--no-run"]);
    command.args(wanted.selection());
    process::show(command).await
}

fn test(project: &Project, selection: &[OsString], arguments: &TestArguments) -> Command {
    let mut command = project.cargo(&["test", "--no-fail-fast", "--config"]);
    command.arg(executable::runner(&project.executable)).args(selection);
    command.arg("--").args(&arguments.filters);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(packages: &[&str], no_cluster: bool) -> Wanted {
        let packages = packages.iter().map(|name| (*name).to_owned()).collect();
        Wanted::of(&TestArguments { packages, no_cluster, ..TestArguments::default() })
    }

    #[test]
    fn all_packages_are_tested_unless_some_are_named() {
        let all = named(&[], false);
        assert_eq!(
            (&all.here[..], all.on_a_cluster),
            (&["--workspace", "--exclude", ON_A_CLUSTER].map(OsString::from)[..], true)
        );
        assert_eq!(all.selection(), ["--workspace"]);
        let two = named(&["a", "b"], false);
        assert_eq!((&two.here, two.on_a_cluster), (&two.selection(), false));
        assert_eq!(two.here, ["--package", "a", "--package", "b"]);
    }

    #[test]
    fn what_needs_a_cluster_runs_apart_or_not_at_all() {
        let mixed = named(&["a", ON_A_CLUSTER], false);
        assert_eq!((mixed.here.len(), mixed.on_a_cluster, mixed.selection().len()), (2, true, 4));
        let alone = named(&[ON_A_CLUSTER], false);
        assert!(alone.here.is_empty() && alone.on_a_cluster);
        let without = named(&[], true);
        assert!(!without.on_a_cluster);
        assert_eq!(without.selection(), ["--workspace", "--exclude", ON_A_CLUSTER]);
    }

    #[test]
    fn filters_reach_the_test_executables() {
        let project = Project { root: "/p".into(), executable: "/t/xtask".into(), cargo: "cargo".into() };
        let arguments = TestArguments { filters: vec!["name".into()], ..TestArguments::default() };
        let command = test(&project, &package("a"), &arguments);
        let words: Vec<_> = command.as_std().get_args().collect();
        assert_eq!(words[words.len() - 2..], ["--", "name"]);
    }
}
