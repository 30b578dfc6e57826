//! How the tasks are called.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Tasks of the project itself.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) task: Task,
}

/// One task.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Make sure that everything the project needs is on this machine
    ///
    /// That is Debian's chromium and chromium-driver, Node.js 18 or later with npm, and the npm Pokemon
    /// Showdown server (in the cache folder). What is there is left alone. As root, what is missing is
    /// installed; otherwise the command to run is printed and the task fails.
    Setup,
    /// Scrape real battles from a real Showdown server, and check the result from outside
    ///
    /// Sets up, builds, starts the server with random players, runs `scrapefleet run -f examples/showdown.yaml`
    /// against it until so many battles are stored, then accounts for every battle and compares each stored log with
    /// the server's own. Fails unless everything is right. Ctrl-C ends it early: the first drains, the second
    /// releases at once. Whatever was started is stopped.
    ///
    /// With --kubernetes the same on a cluster: brings this checkout's own up (as root; taken down again unless it was up
    /// before), or takes the one that `SCRAPEFLEET_E2E_KUBECONFIG` names as it is; installs the operator with Helm, applies
    /// examples/kubernetes/showdown.yaml with the address of the cluster's server in it, shows the fleet's progress until so
    /// many battles are in the bucket, suspends it and checks the same. The first Ctrl-C ends the scrape and checks what
    /// there is, the second gives up; either way everything is cleared away.
    Demo(DemoArguments),
    /// Set up, build, and run every test of the workspace
    ///
    /// A failing test does not stop the others. What stands after `--` goes to the test executables, as in
    /// `cargo xtask test -p scrapefleet-queue -- journal --nocapture`.
    Test(TestArguments),
    /// Measure, print each figure beside its bound, and fail when a bound does not hold
    Bench(BenchArguments),
    /// Do faults to a fleet at work on a real cluster, and account for every battle
    ///
    /// `cargo xtask chaos --list` shows the faults, `cargo xtask chaos --help` what else can be said. The cluster is this
    /// checkout's own (as root; taken down again unless it was up before), or the one of `cargo xtask cluster` that
    /// `SCRAPEFLEET_E2E_KUBECONFIG` names.
    #[command(disable_help_flag = true)]
    Chaos(ChaosArguments),
    /// Start, repair, break or take down a Kubernetes of two nodes on this machine, for tests
    Cluster(crate::cluster::Args),
    /// Write the custom resource definition and the manifest's reference anew from the types in crates/api
    Crds,
    /// Check the Helm chart: lint it, render it every way, and look at all that comes out
    ///
    /// Every toggle is rendered on and off, with the default values and with those of charts/scrapefleet/ci. What is
    /// rendered must be of the kinds and with the rights the chart may have, safe, and without a secret; a wrong value
    /// must be refused by its path; the definition of ScrapeFleet must be the one in crds/. Helm is built when it is
    /// not in the cache, which takes Go and one to three minutes.
    Chart,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// How many battles to store
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) battles: u64,
    /// On a Kubernetes cluster, by the operator, with RabbitMQ and an S3 bucket
    #[arg(long)]
    pub(crate) kubernetes: bool,
    /// Seed of what the players choose; the cluster's server has its own
    #[arg(long, value_name = "S", default_value_t = 1, conflicts_with = "kubernetes")]
    pub(crate) seed: u64,
    /// Which generation of the site's client the pages are
    #[arg(long, value_enum, default_value_t = Generation::Old, conflicts_with = "kubernetes")]
    pub(crate) client: Generation,
    /// Also write what was found here, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Where logs and ledger go; emptied first if an earlier demo made it [default: data/demo in the checkout;
    /// data/demo-kubernetes with --kubernetes, for the manifest that is applied and copies of the logs]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Keep what an earlier demo left, and use a new folder beside it; with --kubernetes, leave cluster, operator and fleet
    /// for a look
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Generation of the site's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Generation {
    /// The one that does not reconnect by itself.
    Old,
    /// The one that does.
    New,
}

/// Arguments of `test`.
#[derive(Debug, Default, Args)]
pub(crate) struct TestArguments {
    /// Only the tests of this package (may be given several times)
    #[arg(short, long = "package", value_name = "NAME")]
    pub(crate) packages: Vec<String>,
    /// Leave out the tests that need a Kubernetes cluster
    #[arg(long)]
    pub(crate) no_cluster: bool,
    /// Begin none of those on a cluster later than this; what is left out is named
    #[arg(long, value_name = "MINUTES", conflicts_with = "no_cluster")]
    pub(crate) begin_within: Option<u64>,
    /// Passed to the test executables: parts of test names, and options such as --nocapture
    #[arg(last = true, value_name = "FILTER")]
    pub(crate) filters: Vec<OsString>,
}

/// Arguments of `chaos`.
#[derive(Debug, Args)]
pub(crate) struct ChaosArguments {
    /// Arguments of the program in tests/chaos
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<OsString>,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// What to measure
    #[command(subcommand)]
    pub(crate) suite: Suite,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Suite {
    /// The local run: memory of a full bot, delay of the watcher, speed of the embedded queue
    Local(LocalBenchArguments),
}

/// Arguments of `bench local`.
#[derive(Debug, Args)]
pub(crate) struct LocalBenchArguments {
    /// Also write the figures here, as a JSON list
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Only the measurements whose name contains this (may be given several times)
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn filters_come_after_two_dashes_and_keep_their_own_options() {
        let parsed =
            Arguments::try_parse_from(["xtask", "test", "-p", "a", "--", "name", "--nocapture"]).unwrap();
        let Task::Test(test) = parsed.task else { panic!("not the test task") };
        assert_eq!(test.packages, ["a"]);
        assert_eq!(test.filters, ["name", "--nocapture"]);
    }

    #[test]
    fn a_demo_on_kubernetes_takes_the_server_of_the_cluster_as_it_is() {
        let demo =
            |more: &[&str]| Arguments::try_parse_from([&["xtask", "demo", "--kubernetes"], more].concat());
        let Task::Demo(parsed) = demo(&["--battles", "3"]).unwrap().task else { panic!("not the demo task") };
        assert!(parsed.kubernetes && parsed.battles == 3 && !parsed.keep);
        for refused in [["--seed", "2"], ["--client", "new"]] {
            assert!(demo(&refused).unwrap_err().to_string().contains("cannot be used with"), "{refused:?}");
        }
    }

    #[test]
    fn the_chart_is_checked_without_arguments() {
        assert!(matches!(Arguments::try_parse_from(["xtask", "chart"]).unwrap().task, Task::Chart));
        assert!(Arguments::try_parse_from(["xtask", "chart", "more"]).is_err());
    }

    #[test]
    fn what_chaos_is_told_reaches_its_program() {
        for words in [["--minutes", "20"], ["--scenario", "hung-chrome"], ["--help", "--list"]] {
            let parsed = Arguments::try_parse_from([&["xtask", "chaos"], &words[..]].concat()).unwrap();
            let Task::Chaos(chaos) = parsed.task else { panic!("not the chaos task") };
            assert_eq!(chaos.words, words);
        }
    }
}
