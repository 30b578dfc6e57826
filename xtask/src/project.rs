//! Where things are: the checkout, the build folder, cargo.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The checkout and the build that this program came from.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// The folder of the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
    /// This very program. A build replaces the file; the path stays good.
    pub(crate) executable: PathBuf,
    /// The cargo that started this program.
    pub(crate) cargo: OsString,
}

impl Project {
    /// Finds the checkout this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.parent().context("xtask has no folder above it")?.to_owned();
        let executable = std::env::current_exe().context("cannot tell where xtask itself is")?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Ok(Self { root, executable, cargo })
    }

    /// A program of the workspace, built with the same profile as this one.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.executable.with_file_name(name)
    }

    /// A call of cargo in the checkout, as a person would make it.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.cargo);
        command.args(arguments).current_dir(&self.root);
        tell_nothing_of_this_run(command.as_std_mut());
        command
    }
}

/// Keeps from a command what `cargo run` has told this program about itself.
pub(crate) fn tell_nothing_of_this_run(command: &mut std::process::Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_this_run(name)) {
        command.env_remove(name);
    }
}

/// Whether a variable is one that `cargo run` tells this program about itself. Build scripts that look at it (ring's
/// does) would run again, and half of the dependencies with them, each time cargo is called from here.
fn is_of_this_run(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b"CARGO_PKG_") || name.starts_with(b"CARGO_MANIFEST_")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        let project = Project::find().unwrap();
        let manifest = std::fs::read_to_string(project.root.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"), "{}", project.root.display());
    }

    #[test]
    fn programs_stand_beside_this_one() {
        let project =
            Project { root: "/p".into(), executable: "/p/target/debug/xtask".into(), cargo: "cargo".into() };
        assert_eq!(project.program("scrapefleet"), Path::new("/p/target/debug/scrapefleet"));
    }

    #[test]
    fn cargo_is_told_nothing_of_this_run_and_everything_else() {
        for told in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR"] {
            assert!(is_of_this_run(OsStr::new(told)), "{told}");
        }
        for kept in ["CARGO_TARGET_DIR", "CARGO_HOME", "CARGO_INCREMENTAL", "PATH"] {
            assert!(!is_of_this_run(OsStr::new(kept)), "{kept}");
        }
        let command = Project::find().unwrap().cargo(&[]);
        let of_this_run = std::env::vars_os().filter(|(name, _)| is_of_this_run(name)).count();
        assert_eq!(command.as_std().get_envs().filter(|(_, value)| value.is_none()).count(), of_this_run);
    }

    /// External packages with their features, as cargo would build them for this selection.
    fn built(selection: &[&str]) -> BTreeSet<String> {
        let project = Project::find().unwrap();
        let mut tree = std::process::Command::new(&project.cargo);
        tree.args(["tree", "--locked", "--no-dedupe", "--prefix", "none", "--format", "{p} {f}"])
            .args(selection);
        let output = tree.current_dir(&project.root).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let is_own = |line: &&str| line.contains("(/");
        text.lines().filter(|line| !is_own(line)).map(|line| line.replace(" (*)", "")).collect()
    }

    #[test]
    fn no_dependency_is_built_once_for_this_program_and_again_for_others() {
        let tests = built(&["--workspace", "--edges", "normal,build,dev"]);
        let programs = built(&["--workspace", "--edges", "normal,build"]);
        let this = built(&["--package", "xtask", "--edges", "normal,build"]);
        let only = |some: &BTreeSet<String>, all: &BTreeSet<String>| -> Vec<String> {
            some.difference(all).cloned().collect()
        };
        assert!(this.len() > 100, "{this:?}");
        let none: [String; 0] = [];
        assert_eq!(only(&programs, &tests), none, "add what the tests have to xtask/Cargo.toml");
        assert_eq!(only(&this, &programs), none, "add what the programs have to xtask/Cargo.toml");
    }
}
