//! The packages of Debian that a cluster needs, installed when they are missing.

use anyhow::{Context, Result};

use super::command::Tool;
use super::progress::Progress;

/// What a cluster and its images need beside the programs built here.
pub(crate) const PACKAGES: [&str; 13] = [
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

/// Installs what is missing.
pub(crate) fn ensure(progress: Progress) -> Result<()> {
    let missing = missing(&installed()?);
    if missing.is_empty() {
        return Ok(());
    }
    progress.say(format!("installing Debian packages: {}", missing.join(" ")));
    apt_get(&["update", "-q"]).context("bring the lists of packages up to date")?;
    let mut words = vec!["install", "-y", "-q", "--no-install-recommends"];
    words.extend(&missing);
    apt_get(&words).with_context(|| {
        format!(
            "install {}; on a machine without these packages no cluster can be started",
            missing.join(" ")
        )
    })?;
    progress.say("packages installed");
    Ok(())
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
}
