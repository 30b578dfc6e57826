//! Carries out the steps of a plan.

use std::time::Duration;

use anyhow::Result;
use tokio::process::Command;

use super::plan::Step;
use crate::process;

/// How long Debian's mirrors may take: some 300 MB on a slow line.
const PACKAGES_WITHIN: Duration = Duration::from_mins(30);

/// How long apt-get waits for another one that runs already, in seconds.
const LOCK: &str = "DPkg::Lock::Timeout=300";

/// Carries out one step; repeating it does no harm.
pub(super) async fn apply(step: &Step) -> Result<()> {
    match step {
        Step::UpdatePackageLists => apt_get(&["update"]).await,
        Step::InstallPackages(packages) => {
            let install = ["install", "-y", "--no-install-recommends"];
            apt_get(&[&install[..], packages].concat()).await
        }
    }
}

async fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(["-q", "-o", LOCK]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    process::read(command, PACKAGES_WITHIN).await.map(drop)
}
