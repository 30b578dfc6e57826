//! Tasks of the project itself: set-up, demo, tests, benches.

use clap::Parser as _;

mod cluster;

#[derive(Debug, clap::Parser)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, clap::Subcommand)]
enum Task {
    /// A real Kubernetes of two nodes on this machine
    Cluster(cluster::Args),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().task {
        Task::Cluster(args) => cluster::run(args),
    }
}
