//! Test executables, as cargo names them when it has built them, and what each needs to run.

use std::{
    num::NonZero,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::Deserialize;

/// Folders and files whose tests each start a Chrome, a server or a whole run: one test of an executable at a time.
const ONE_AT_A_TIME: [&str; 4] =
    ["crates/browser/", "crates/showdown/tests/recipe.rs", "tests/local/", "tests/site/"];

/// Folders whose tests need a Kubernetes cluster.
const ON_A_CLUSTER: [&str; 2] = ["tests/e2e/tests/", CHAOS];

/// The folder of those that harm what the cluster is made of.
const CHAOS: &str = "tests/chaos/tests/";

/// Tests of others that do: nodes, processes on them, the operator that others use, clusters of their own.
const OWN_CLUSTER_ONLY: [&str; 4] = [
    "tests/e2e/tests/chart.rs",
    "tests/e2e/tests/leader.rs",
    "tests/e2e/tests/lifecycle.rs",
    "tests/e2e/tests/nodes.rs",
];

/// Tests on a cluster that ask for something within seconds, or start so much at once that they need the whole machine.
const DEMANDING: [&str; 4] = [
    "tests/e2e/tests/conditions.rs",
    "tests/e2e/tests/fleet.rs",
    "tests/e2e/tests/pods.rs",
    "tests/e2e/tests/speed.rs",
];

/// The tests on a real object store, whose program is one of the cluster's.
const ON_MINIO: &str = "crates/store/tests/s3/main.rs";

/// How many fleets at once are struck by faults on a machine with several cores: each has several Chromes.
const FLEETS: usize = 2;

/// More than this at once makes timings of tests unlike those on an ordinary machine.
const MOST_THREADS: usize = 4;

/// What a test executable needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// This machine.
    Nothing,
    /// The program of an object store.
    Minio,
    /// Any Kubernetes cluster.
    Cluster,
    /// One of this project, whose nodes and processes may be harmed.
    OwnCluster,
}

/// One test executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Executable {
    /// The file it was built from, as a path in the checkout: `crates/queue/tests/kill.rs`.
    pub(super) source: String,
    /// The folder of its package, in which it is run.
    pub(super) folder: PathBuf,
    /// Itself.
    pub(super) file: PathBuf,
}

/// What cargo says of something that it has built, as far as it matters here.
#[derive(Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
    manifest_path: PathBuf,
    target: Target,
    profile: Profile,
}

#[derive(Deserialize)]
struct Target {
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

impl Executable {
    /// The test executables among what cargo says (`--message-format=json`) that it has built in the checkout `root`,
    /// sorted by source.
    pub(super) fn all(messages: &str, root: &Path) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for line in messages.lines().filter(|line| line.contains(r#""reason":"compiler-artifact""#)) {
            let artifact: Artifact =
                serde_json::from_str(line).with_context(|| format!("cargo said: {line}"))?;
            let Some(file) = artifact.executable.filter(|_| artifact.profile.test) else { continue };
            let source = artifact.target.src_path;
            let source = source.strip_prefix(root).unwrap_or(&source).to_string_lossy().into_owned();
            let folder =
                artifact.manifest_path.parent().context("cargo named a manifest without a folder")?;
            all.push(Self { source, folder: folder.to_path_buf(), file });
        }
        all.sort_by(|one, other| one.source.cmp(&other.source));
        Ok(all)
    }

    /// What it needs to run.
    pub(super) fn needs(&self) -> Needs {
        if self.is_of_chaos() || OWN_CLUSTER_ONLY.contains(&self.source.as_str()) {
            Needs::OwnCluster
        } else if self.is_in(&ON_A_CLUSTER) {
            Needs::Cluster
        } else if self.source == ON_MINIO {
            Needs::Minio
        } else {
            Needs::Nothing
        }
    }

    /// Whether nothing else may run meanwhile: it harms what others use, or measures time.
    pub(super) fn runs_alone(&self) -> bool {
        self.needs() == Needs::OwnCluster || self.is_in(&DEMANDING)
    }

    /// Whether it does faults, of which a run has as many as it has time for.
    pub(super) fn is_of_chaos(&self) -> bool {
        self.is_in(&[CHAOS])
    }

    /// Whether its tests run one after the other, each with programs of its own.
    pub(super) fn is_heavy(&self) -> bool {
        self.is_in(&ONE_AT_A_TIME)
    }

    /// How many of its tests run at once.
    pub(super) fn threads(&self, cores: usize) -> usize {
        let most = if self.is_heavy() {
            1
        } else if self.is_of_chaos() {
            FLEETS
        } else {
            MOST_THREADS
        };
        cores.clamp(1, most)
    }

    fn is_in(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.source.starts_with(folder))
    }
}

/// The cores of this machine.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(source: &str) -> Executable {
        Executable { source: source.to_owned(), folder: PathBuf::new(), file: PathBuf::new() }
    }

    #[test]
    fn only_test_executables_count_among_what_cargo_says() {
        let artifact = |executable: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/p/crates/queue/Cargo.toml","target":{{"kind":["test"],"src_path":"/p/crates/queue/tests/kill.rs"}},"profile":{{"test":{test}}},"executable":{executable}}}"#
            )
        };
        let messages = [
            r#"{"reason":"build-script-executed"}"#.to_owned(),
            artifact("null", true),
            artifact(r#""/t/kill""#, false),
            artifact(r#""/t/kill-1""#, true),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let all = Executable::all(&messages.join("\n"), Path::new("/p")).unwrap();
        let only = Executable {
            folder: "/p/crates/queue".into(),
            file: "/t/kill-1".into(),
            ..built("crates/queue/tests/kill.rs")
        };
        assert_eq!(all, [only]);
    }

    #[test]
    fn what_cargo_says_in_another_way_is_an_error() {
        let error = Executable::all(r#"{"reason":"compiler-artifact"}"#, Path::new("/p")).unwrap_err();
        assert!(error.to_string().contains("compiler-artifact"), "{error}");
    }

    #[test]
    fn each_runs_where_it_finds_what_it_needs() {
        for (source, needs) in [
            ("crates/queue/tests/kill.rs", Needs::Nothing),
            ("crates/store/tests/s3/main.rs", Needs::Minio),
            ("tests/e2e/tests/fleet.rs", Needs::Cluster),
            ("tests/e2e/tests/nodes.rs", Needs::OwnCluster),
            ("tests/chaos/tests/faults.rs", Needs::OwnCluster),
            // Their unit tests need nothing.
            ("tests/e2e/src/lib.rs", Needs::Nothing),
            ("tests/chaos/src/lib.rs", Needs::Nothing),
        ] {
            assert_eq!(built(source).needs(), needs, "{source}");
        }
    }

    #[test]
    fn heavy_executables_run_one_test_at_a_time_and_others_use_the_cores_within_reason() {
        for (source, cores, threads) in [
            ("tests/local/tests/killed.rs", 8, 1),
            ("tests/chaos/tests/faults.rs", 8, FLEETS),
            ("tests/chaos/tests/faults.rs", 1, 1),
            // Its unit tests start nothing.
            ("tests/chaos/src/lib.rs", 8, MOST_THREADS),
            ("crates/queue/src/lib.rs", 1, 1),
            ("crates/queue/src/lib.rs", 2, 2),
            ("crates/queue/src/lib.rs", 64, MOST_THREADS),
        ] {
            assert_eq!(built(source).threads(cores), threads, "{source}, {cores} cores");
        }
    }

    #[test]
    fn every_place_that_is_named_here_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let files = OWN_CLUSTER_ONLY.into_iter().chain(DEMANDING).chain([ON_MINIO]);
        for place in ONE_AT_A_TIME.into_iter().chain(ON_A_CLUSTER).chain(files) {
            assert!(root.join(place).exists(), "{place}");
        }
    }
}
