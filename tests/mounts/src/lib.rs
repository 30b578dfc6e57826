//! Places where a test may mount file systems, with or without root.
//!
//! A test that fills a disk needs a small one of its own. Root may mount one; anybody may in a namespace of their own, in which
//! they are root. Both get a namespace here: nobody else sees what is mounted there, and it is gone when the test ends, however
//! it ends. A process with threads cannot enter one, so what is to mount is a program that starts there.

use std::{
    env,
    io::{self, Write as _},
    path::Path,
    process::{Command, Stdio},
};

/// Set for a test that runs where it may mount.
const MAY_MOUNT: &str = "SCRAPEFLEET_TEST_MAY_MOUNT";

/// `program`, to be started where it may mount. None where this user may not do that, which is said on stderr.
///
/// # Errors
/// When root may not: there the tests that need it are not left out.
pub fn command(program: &Path) -> io::Result<Option<Command>> {
    let possible = unshare().args(["mount", "-t", "tmpfs", "tmpfs"]).arg(env::temp_dir()).output();
    match possible {
        Ok(output) if output.status.success() => {
            let mut command = unshare();
            command.arg(program);
            Ok(Some(command))
        }
        other => {
            let why = format!("`unshare --mount` with a tmpfs does not work here: {other:?}");
            if is_root() {
                return Err(io::Error::other(why));
            }
            // Not with a macro: what those print is not shown where a test passes.
            writeln!(io::stderr(), "NOT TESTED, because this user may not make mounts: {why}")?;
            Ok(None)
        }
    }
}

/// Whether the test of that name, which calls this first, is to go on: it runs where it may mount.
///
/// Otherwise it is run once more, where it may, and fails here if it fails there.
///
/// # Errors
/// When it fails there, with all that it said, and as [`command`] does.
pub fn are_possible(test: &str) -> io::Result<bool> {
    if env::var_os(MAY_MOUNT).is_some() {
        return Ok(true);
    }
    let Some(mut command) = command(&env::current_exe()?)? else { return Ok(false) };
    command.args(["--exact", test, "--nocapture"]).env(MAY_MOUNT, "yes").stdin(Stdio::null());
    let output = command.output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    // With a wrong name no test would have run, and none would have failed.
    if !output.status.success() || !said.contains("1 passed") {
        return Err(io::Error::other(format!("`{test}` where it may mount, {}: {said}", output.status)));
    }
    print!("{said}");
    Ok(false)
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "--propagation", "private", "--"]);
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_is_seen_by_the_test_alone() {
        let file = env::temp_dir().join("scrapefleet-test-mounts");
        if are_possible("tests::what_is_mounted_is_seen_by_the_test_alone").unwrap() {
            let mount = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(env::temp_dir()).status();
            assert!(mount.unwrap().success());
            std::fs::write(&file, "only here").unwrap();
        } else {
            assert!(!file.exists());
        }
    }

    #[test]
    fn what_fails_there_fails_here_and_so_does_a_test_that_is_not_there() {
        match are_possible("tests::what_fails_there_fails_here_and_so_does_a_test_that_is_not_there") {
            Ok(true) => panic!("on purpose"),
            Ok(false) => assert!(!is_root(), "it did not fail"),
            Err(error) => {
                assert!(error.to_string().contains("on purpose"), "{error}");
                assert!(are_possible("tests::nobody").unwrap_err().to_string().contains("0 passed"));
            }
        }
    }
}
