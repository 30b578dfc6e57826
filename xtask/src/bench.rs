//! The `bench` task: builds for release and hands over to the package in `bench/`.

use std::process::ExitCode;

use anyhow::Result;
use tokio::process::Command;

use crate::{
    arguments::{BenchArguments, LocalBenchArguments, Suite},
    phase::Phases,
    process,
    project::Project,
    setup,
};

/// Sets up, builds for release, measures.
pub(crate) async fn run(project: &Project, arguments: &BenchArguments) -> Result<ExitCode> {
    let Suite::Local(local) = &arguments.suite;
    let mut phases = Phases::start("bench");
    phases.run("setup", setup::ensure()).await?;
    let build =
        ["build", "--release", "--package", "scrapefleet-cli", "--package", "scrapefleet-bench", "--bins"];
    phases.run("build", process::show(project.cargo(&build))).await?;
    let result = phases.run("measure", process::show(measure(project, local))).await;
    eprintln!("bench took {}", phases.summary());
    result.map(|()| ExitCode::SUCCESS)
}

/// Started through cargo, which knows where the release build is.
fn measure(project: &Project, arguments: &LocalBenchArguments) -> Command {
    let mut command =
        project.cargo(&["run", "--quiet", "--release", "--package", "scrapefleet-bench", "--", "local"]);
    for name in &arguments.only {
        command.args(["--only", name]);
    }
    if let Some(report) = &arguments.report {
        command.arg("--report").arg(std::path::absolute(report).unwrap_or_else(|_| report.clone()));
    }
    command
}
