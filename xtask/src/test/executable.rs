//! One test executable: how many of its tests run at once.
//!
//! cargo runs test executables one after the other, and within each as many tests at once as there are cores.
//! That is too much for packages whose tests each start a Chrome or a Showdown server, so `cargo xtask test`
//! makes itself cargo's runner: called with the executable, it sets the number of threads and becomes it.

use std::{ffi::OsString, num::NonZero, os::unix::process::CommandExt, path::Path, process::Command};

use anyhow::Error;

use crate::arguments::RunTestArguments;

/// The variable from which a test executable takes its number of threads.
const THREADS: &str = "RUST_TEST_THREADS";

/// Packages whose tests each start a Chrome, a server or a whole run: one test at a time.
const ONE_AT_A_TIME: &[&str] =
    &["scrapefleet-browser", "scrapefleet-chaos", "scrapefleet-local-tests", "scrapefleet-test-site"];

/// More than this at once makes timings of tests unlike those on an ordinary machine.
const MOST: usize = 4;

/// The setting that makes this program cargo's runner, for `cargo --config`.
pub(super) fn runner(executable: &Path) -> OsString {
    let path = serde_json::Value::from(executable.to_string_lossy());
    format!("target.'cfg(all())'.runner=[{path}, \"run-test\"]").into()
}

/// Becomes the test executable; returns only when that fails.
pub(crate) fn replace_with(arguments: &RunTestArguments) -> Error {
    let Some((executable, rest)) = arguments.command.split_first() else {
        return Error::msg("no test executable was given");
    };
    let mut command = Command::new(executable);
    command.args(rest);
    if std::env::var_os(THREADS).is_none() {
        let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        command.env(THREADS, threads(&package, cores).to_string());
    }
    Error::new(command.exec()).context(format!("{} cannot be started", executable.display()))
}

/// How many tests of a package run at once.
fn threads(package: &str, cores: usize) -> usize {
    if ONE_AT_A_TIME.contains(&package) { 1 } else { cores.clamp(1, MOST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heavy_packages_run_one_test_at_a_time() {
        assert_eq!(threads("scrapefleet-local-tests", 8), 1);
    }

    #[test]
    fn other_packages_use_the_cores_within_reason() {
        for (cores, wanted) in [(1, 1), (2, 2), (64, MOST)] {
            assert_eq!(threads("scrapefleet-queue", cores), wanted, "{cores} cores");
        }
    }

    #[test]
    fn every_heavy_package_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap();
        for package in ONE_AT_A_TIME {
            assert!(lock.contains(&format!("name = \"{package}\"")), "{package} is not in the workspace");
        }
    }

    #[test]
    fn the_runner_survives_an_unusual_path() {
        let setting = runner(Path::new("/a \"b\"/xtask"));
        assert_eq!(setting, r#"target.'cfg(all())'.runner=["/a \"b\"/xtask", "run-test"]"#);
    }
}
