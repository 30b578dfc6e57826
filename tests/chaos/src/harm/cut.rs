//! Keeping one pod from the API server: a rule in the firewall of its network.

use std::{fs::File, os::fd::AsRawFd as _, process::Stdio, sync::Arc};

use anyhow::{Context, Result, ensure};
use scrapefleet_e2e::processes::Process;
use scrapefleet_policy::within;
use tokio::process::Command;

use super::CALL_WITHIN;

/// What a pod sends to the API server goes to this port, as the cluster's own Service has it.
const API_SERVER: &str = "443";

/// The network of a pod, kept from the API server. It stays at hand when the process ends that it was found by.
#[derive(Debug, Clone)]
pub(super) struct Cut(Arc<File>);

impl Cut {
    /// The network that a process is in, which is not cut yet.
    pub(super) fn of(process: &Process) -> Result<Self> {
        let path = format!("/proc/{}/ns/net", process.id.as_raw_nonzero());
        Ok(Self(Arc::new(File::open(&path).with_context(|| format!("open {path}"))?)))
    }

    /// Nothing reaches the API server from now on.
    pub(super) async fn make(&self) -> Result<()> {
        self.rule("--insert").await
    }

    /// Everything does again.
    pub(super) async fn mend(&self) -> Result<()> {
        self.rule("--delete").await
    }

    async fn rule(&self, change: &str) -> Result<()> {
        let network = format!("--net=/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd());
        let mut command = Command::new("nsenter");
        command.args([&network, "iptables", "--wait", change, "OUTPUT", "--protocol", "tcp", "--dport"]);
        command.args([API_SERVER, "--jump", "DROP"]).stdin(Stdio::null()).kill_on_drop(true);
        let output = within(CALL_WITHIN, "change a firewall", command.output()).await?;
        let output = output.context("start nsenter")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "iptables {change}: {}: {said}", output.status);
        Ok(())
    }
}
