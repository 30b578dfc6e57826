//! Where things are: the checkout, the build folder, cargo.

use std::{
    ffi::OsString,
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

    /// A call of cargo in the checkout.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.cargo);
        command.args(arguments).current_dir(&self.root);
        command
    }
}

#[cfg(test)]
mod tests {
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
}
