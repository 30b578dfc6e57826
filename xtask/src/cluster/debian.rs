//! The packages of Debian that a cluster needs, installed when they are missing.

use anyhow::{Context, Result};

use super::command::Tool;
use super::progress::Progress;
use crate::setup::on_path;

/// What a cluster and its images need beside the programs built here.
const PACKAGES: [&str; 14] = [
    "binutils",
    "buildah",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "e2fsprogs",
    "etcd-server",
    "iproute2",
    "ipset",
    "iptables",
    "mmdebstrap",
    "mount",
    "procps",
    "runc",
];

/// What the packages of the test site are installed with, each with Debian's package of it: many a machine has them from
/// elsewhere.
const NODE: [(&str, &str); 2] = [("node", "nodejs"), ("npm", "npm")];

/// Installs what is missing, `with_site` also of what the image of the test site is built with.
pub(crate) fn ensure(with_site: bool, progress: Progress) -> Result<()> {
    let mut missing = missing(&installed()?);
    if with_site {
        missing.extend(missing_programs(|program| on_path(program).is_some()));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    progress.say(format!("installing Debian packages: {list}"));
    progress.during("installing packages", || install(&missing)).with_context(|| {
        format!("install {list}; on a machine without these packages no cluster can be started")
    })?;
    progress.say("packages installed");
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    apt_get(&["update", "-q"]).context("bring the lists of packages up to date")?;
    let words = ["install", "-y", "-q", "--no-install-recommends"];
    apt_get(&[&words[..], packages].concat())
}

fn apt_get(words: &[&str]) -> Result<()> {
    // Run level 1 keeps the packages from starting services: only their programs are wanted.
    Tool::new("apt-get").args(words).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").run()
}

/// The packages that are installed, among those needed.
fn installed() -> Result<String> {
    let output = Tool::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(PACKAGES)
        .finish()?;
    // Its exit code is 1 when one of them is unknown, which is no error here.
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn missing(installed: &str) -> Vec<&'static str> {
    let is_installed = |package: &str| installed.lines().any(|line| line == format!("{package} installed"));
    PACKAGES.into_iter().filter(|package| !is_installed(package)).collect()
}

/// Debian's packages of the programs that this machine has not.
fn missing_programs(has: impl Fn(&str) -> bool) -> impl Iterator<Item = &'static str> {
    NODE.into_iter().filter(move |(program, _)| !has(program)).map(|(_, package)| package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_or_removed_is_missing() {
        let all = PACKAGES.map(|package| format!("{package} installed\n")).concat();
        assert!(missing(&all).is_empty());
        assert_eq!(missing(&all.replace("runc installed", "runc config-files")), ["runc"]);
        assert_eq!(missing("").len(), PACKAGES.len());
    }

    #[test]
    fn a_program_from_elsewhere_is_not_installed_again() {
        let missing =
            |there: &[&str]| missing_programs(|program| there.contains(&program)).collect::<Vec<_>>();
        assert_eq!(missing(&[]), ["nodejs", "npm"]);
        assert_eq!(missing(&["node"]), ["npm"]);
        assert!(missing(&["node", "npm"]).is_empty());
    }
}
