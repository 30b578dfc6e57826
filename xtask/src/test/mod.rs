//! The `test` task: set up, build, run every test.

pub(crate) mod executable;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use tokio::process::Command;

use crate::{arguments::TestArguments, phase::Phases, process, project::Project, setup};

/// The package whose tests need a Kubernetes cluster.
const ON_A_CLUSTER: &str = "scrapefleet-e2e";

/// Names the cluster that tests run on.
const KUBECONFIG: &str = "SCRAPEFLEET_E2E_KUBECONFIG";

/// Sets up, builds and tests. Set-up and build must succeed before anything else; then every test runs, also
/// after one has failed, so that one run shows all that is wrong.
pub(crate) async fn run(project: &Project, arguments: &TestArguments) -> Result<ExitCode> {
    let mut phases = Phases::start("test");
    phases.run("setup", setup::ensure()).await?;
    phases.run("build", build(project, arguments)).await?;
    let result = phases.run("test", process::show(test(project, arguments))).await;
    let took = phases.summary();
    if arguments.packages.is_empty() && !has_cluster(arguments) {
        eprintln!(
            "Left out: the tests on a Kubernetes cluster ({ON_A_CLUSTER}). `cargo xtask cluster up` starts one, \
             `cargo xtask cluster env` says what to set {KUBECONFIG} to."
        );
    }
    Ok(if result.is_ok() {
        eprintln!("All tests passed, in {took}.");
        ExitCode::SUCCESS
    } else {
        eprintln!("Some tests FAILED; each is named above under `failures:`. It took {took}.");
        ExitCode::FAILURE
    })
}

/// Whether tests run on a cluster: one must be named, and not be declined.
fn has_cluster(arguments: &TestArguments) -> bool {
    !arguments.no_cluster && std::env::var_os(KUBECONFIG).is_some()
}

async fn build(project: &Project, arguments: &TestArguments) -> Result<()> {
    // End-to-end tests start the `scrapefleet` program that stands beside them.
    process::show(project.cargo(&["build", "--workspace", "--bins"])).await?;
    let mut command = project.cargo(&["test", "--no-run"]);
    command.args(selection(arguments, has_cluster(arguments)));
    process::show(command).await
}

fn test(project: &Project, arguments: &TestArguments) -> Command {
    let mut command = project.cargo(&["test", "--no-fail-fast", "--config"]);
    command.arg(executable::runner(&project.executable)).args(selection(arguments, has_cluster(arguments)));
    command.arg("--").args(&arguments.filters);
    command
}

/// Which packages: those that were named, or all; those that need a cluster only when there is one.
fn selection(arguments: &TestArguments, cluster: bool) -> Vec<OsString> {
    if arguments.packages.is_empty() {
        let left_out: &[&str] = if cluster { &[] } else { &["--exclude", ON_A_CLUSTER] };
        return std::iter::once("--workspace").chain(left_out.iter().copied()).map(OsString::from).collect();
    }
    arguments.packages.iter().flat_map(|name| ["--package".into(), name.into()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_packages_are_tested_unless_some_are_named() {
        assert_eq!(selection(&TestArguments::default(), true), ["--workspace"]);
        let without = selection(&TestArguments::default(), false);
        assert_eq!(without, ["--workspace", "--exclude", ON_A_CLUSTER]);
        let packages = vec!["a".to_owned(), "b".to_owned()];
        let named = TestArguments { packages, ..TestArguments::default() };
        assert_eq!(selection(&named, false), ["--package", "a", "--package", "b"]);
    }

    #[test]
    fn filters_reach_the_test_executables() {
        let project = Project { root: "/p".into(), executable: "/t/xtask".into(), cargo: "cargo".into() };
        let arguments = TestArguments { filters: vec!["name".into()], ..TestArguments::default() };
        let command = test(&project, &arguments);
        let words: Vec<_> = command.as_std().get_args().collect();
        assert_eq!(words[words.len() - 2..], ["--", "name"]);
    }
}
