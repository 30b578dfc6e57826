//! The `chaos` task: brings a cluster up and hands over to the program in `tests/chaos`.

use std::process::ExitCode;

use anyhow::Result;
use tokio::process::Command;

use crate::{arguments::ChaosArguments, phase::Phases, process, project::Project, test::cluster::Cluster};

/// What only asks the program something, for which no cluster is needed.
const QUESTIONS: [&str; 4] = ["--list", "--help", "-h", "--version"];

/// Builds, brings the cluster up, does the faults, takes down what was started.
pub(crate) async fn run(project: &Project, arguments: &ChaosArguments) -> Result<ExitCode> {
    let mut phases = Phases::start("chaos");
    // As a part of the whole workspace, as images and tests are built: see the images' programs.
    let build = ["build", "--workspace", "--bins"];
    phases.run("build", process::show(project.cargo(&build))).await?;
    let mut faults = chaos(project, arguments);
    if arguments.words.iter().any(|word| QUESTIONS.iter().any(|question| word == question)) {
        return process::show(faults).await.map(|()| ExitCode::SUCCESS);
    }
    Cluster::check()?;
    let cluster = phases.run("start a cluster", Cluster::ensure(project)).await?;
    faults.envs(cluster.variables(project).await?);
    let outcome = phases.run("chaos", until_it_ends(faults)).await;
    phases.run("end the cluster", cluster.end(project)).await?;
    eprintln!("chaos took {}", phases.summary());
    outcome.map(|()| ExitCode::SUCCESS)
}

/// The program ends itself at the first Ctrl-C, which it gets as well, in order; at the second it is killed.
async fn until_it_ends(faults: Command) -> Result<()> {
    let twice = async {
        tokio::signal::ctrl_c().await?;
        tokio::signal::ctrl_c().await
    };
    tokio::select! {
        ended = process::show(faults) => ended,
        interrupt = twice => interrupt.map_err(Into::into).and_then(|()| anyhow::bail!("interrupted twice")),
    }
}

fn chaos(project: &Project, arguments: &ChaosArguments) -> Command {
    let mut command = Command::new(project.program("scrapefleet-chaos"));
    command.args(&arguments.words);
    command
}
