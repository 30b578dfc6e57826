//! Tasks of the project itself: set-up, demo, tests, benches.
//!
//! `cargo xtask help` lists them. Each task is one module; `arguments` says how they are called.

mod arguments;
mod bench;
mod chaos;
mod chart;
mod cluster;
mod crds;
mod demo;
mod phase;
mod process;
mod project;
mod setup;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::{
    arguments::{Arguments, Task},
    project::Project,
};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().task).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(task: Task) -> Result<ExitCode> {
    let project = Project::find()?;
    match task {
        Task::Setup => setup::ensure().await.map(|()| ExitCode::SUCCESS),
        Task::Demo(arguments) => demo::run(&project, &arguments).await,
        Task::Test(arguments) => test::run(&project, &arguments).await,
        Task::Bench(arguments) => bench::run(&project, &arguments).await,
        Task::Chaos(arguments) => chaos::run(&project, &arguments).await,
        Task::Cluster(arguments) => cluster::run(arguments).await.map(|()| ExitCode::SUCCESS),
        Task::Crds => crds::run(&project).await,
        Task::Chart => chart::run(&project).await,
    }
}
