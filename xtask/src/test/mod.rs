//! The `test` task: set up, build, run every test.

pub(crate) mod cluster;
pub(crate) mod executable;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use tokio::process::Command;

use cluster::Cluster;

use crate::{arguments::TestArguments, phase::Phases, process, project::Project, setup};

/// The packages whose tests need a Kubernetes cluster.
const ON_A_CLUSTER: [&str; 2] = ["scrapefleet-e2e", CHAOS];

/// The one of them whose tests harm what the cluster is made of.
const CHAOS: &str = "scrapefleet-chaos";

/// Names the Helm that tests use.
pub(crate) const HELM: &str = "SCRAPEFLEET_HELM";

/// Sets up, builds and tests. Set-up and build must succeed before anything else; then every test runs, also
/// after one has failed, so that one run shows all that is wrong. The tests on a cluster come last, so that no
/// cluster takes processor time from the others.
pub(crate) async fn run(project: &Project, arguments: &TestArguments) -> Result<ExitCode> {
    let wanted = Wanted::of(arguments);
    if wanted.on_a_cluster() {
        Cluster::check()?;
    } else if wanted.here.is_empty() {
        bail!("nothing is left to test: what was named is left out with --no-cluster");
    }
    let mut phases = Phases::start("test");
    phases.run("setup", setup::ensure()).await?;
    phases.run("build", build(project, &wanted)).await?;
    let mut passed = true;
    if !wanted.here.is_empty() {
        passed &= phases.run("test", process::show(test(project, &wanted.here, arguments))).await.is_ok();
    }
    if wanted.on_a_cluster() && wanted.everything() {
        passed &= phases.run("test on MinIO", test_on_minio(project, arguments)).await.is_ok();
    }
    if wanted.on_a_cluster() {
        passed &= test_on_a_cluster(project, &wanted, arguments, &mut phases).await?;
    }
    let took = phases.summary();
    if arguments.no_cluster {
        let packages = ON_A_CLUSTER.join(", ");
        eprintln!("Left out, as told: the tests on a Kubernetes cluster ({packages}) and on MinIO.");
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
    wanted: &Wanted,
    arguments: &TestArguments,
    phases: &mut Phases,
) -> Result<bool> {
    let cluster = phases.run("start a cluster", Cluster::ensure(project)).await?;
    let selection = cluster.selection(project, &wanted.there)?;
    if selection.is_empty() {
        return Ok(true);
    }
    let mut tests = test(project, &selection, arguments);
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
    /// Which of [`ON_A_CLUSTER`].
    there: Vec<&'static str>,
}

impl Wanted {
    /// The packages that were named, or all.
    fn of(arguments: &TestArguments) -> Self {
        let named = &arguments.packages;
        let is_there = |name: &String| ON_A_CLUSTER.contains(&name.as_str());
        let there = ON_A_CLUSTER.into_iter();
        let there = there.filter(|there| {
            !arguments.no_cluster && (named.is_empty() || named.iter().any(|name| name == there))
        });
        let here = if named.is_empty() {
            let excluded = ON_A_CLUSTER.into_iter().flat_map(|name| ["--exclude", name]);
            ["--workspace"].into_iter().chain(excluded).map(OsString::from).collect()
        } else {
            named.iter().filter(|name| !is_there(name)).flat_map(|name| package(name)).collect()
        };
        Self { here, there: there.collect() }
    }

    fn on_a_cluster(&self) -> bool {
        !self.there.is_empty()
    }

    /// Whether no packages were named.
    fn everything(&self) -> bool {
        self.here.first().is_some_and(|first| first == "--workspace")
    }

    /// All of it, as arguments of cargo.
    fn selection(&self) -> Vec<OsString> {
        if self.everything() && self.on_a_cluster() {
            return vec!["--workspace".into()];
        }
        let there = self.there.iter().flat_map(|name| package(name));
        self.here.iter().cloned().chain(there).collect()
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
        let excluded = ["--workspace", "--exclude", "scrapefleet-e2e", "--exclude", "scrapefleet-chaos"];
        assert_eq!((&all.here[..], &all.there[..]), (&excluded.map(OsString::from)[..], &ON_A_CLUSTER[..]));
        assert_eq!(all.selection(), ["--workspace"]);
        let two = named(&["a", "b"], false);
        assert_eq!((&two.here, two.on_a_cluster()), (&two.selection(), false));
        assert_eq!(two.here, ["--package", "a", "--package", "b"]);
    }

    #[test]
    fn what_needs_a_cluster_runs_apart_or_not_at_all() {
        let mixed = named(&["a", CHAOS], false);
        assert_eq!((mixed.here.len(), &mixed.there[..], mixed.selection().len()), (2, &[CHAOS][..], 4));
        let alone = named(&["scrapefleet-e2e"], false);
        assert!(alone.here.is_empty() && alone.there == ["scrapefleet-e2e"]);
        let without = named(&[], true);
        assert!(!without.on_a_cluster());
        assert_eq!(without.selection(), without.here);
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
