//! The `test` task: set up, build, run every test.

pub(crate) mod executable;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use tokio::process::Command;

use crate::{arguments::TestArguments, phase::Phases, process, project::Project, setup};

/// Sets up, builds and tests. Set-up and build must succeed before anything else; then every test runs, also
/// after one has failed, so that one run shows all that is wrong.
pub(crate) async fn run(project: &Project, arguments: &TestArguments) -> Result<ExitCode> {
    let mut phases = Phases::start("test");
    phases.run("setup", setup::ensure()).await?;
    phases.run("build", build(project, arguments)).await?;
    let result = phases.run("test", process::show(test(project, arguments))).await;
    let took = phases.summary();
    Ok(if result.is_ok() {
        eprintln!("All tests passed, in {took}.");
        ExitCode::SUCCESS
    } else {
        eprintln!("Some tests FAILED; each is named above under `failures:`. It took {took}.");
        ExitCode::FAILURE
    })
}

async fn build(project: &Project, arguments: &TestArguments) -> Result<()> {
    // End-to-end tests start the `scrapefleet` program that stands beside them.
    process::show(project.cargo(&["build", "--workspace", "--bins"])).await?;
    let mut command = project.cargo(&["test", "--no-run"]);
    command.args(selection(arguments));
    process::show(command).await
}

fn test(project: &Project, arguments: &TestArguments) -> Command {
    let mut command = project.cargo(&["test", "--no-fail-fast", "--config"]);
    command.arg(executable::runner(&project.executable)).args(selection(arguments));
    command.arg("--").args(&arguments.filters);
    command
}

/// Which packages: those that were named, or all.
fn selection(arguments: &TestArguments) -> Vec<OsString> {
    if arguments.packages.is_empty() {
        return vec!["--workspace".into()];
    }
    arguments.packages.iter().flat_map(|name| ["--package".into(), name.into()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_packages_are_tested_unless_some_are_named() {
        assert_eq!(selection(&TestArguments::default()), ["--workspace"]);
        let packages = vec!["a".to_owned(), "b".to_owned()];
        let named = TestArguments { packages, ..TestArguments::default() };
        assert_eq!(selection(&named), ["--package", "a", "--package", "b"]);
    }

    #[test]
    fn filters_reach_the_test_executables() {
        let project = Project { root: "/p".into(), executable: "/t/xtask".into(), cargo: "cargo".into() };
        let arguments = TestArguments { filters: vec!["name".into()], ..TestArguments::default() };
        let command = test(&project, &arguments);
        let words: Vec<_> = command.as_std().get_args().collect();
        assert_eq!(words[words.len() - 3..], ["--workspace", "--", "name"]);
    }
}
