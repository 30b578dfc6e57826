//! Calling kubectl, as a person does.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::{cluster, process};

/// How long one question, or one change that nothing is waited for, may take.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// How much longer than kubectl's own limit a call that waits may take.
const GRACE: Duration = Duration::from_secs(15);

/// A kubectl, and the cluster it talks to.
#[derive(Debug, Clone)]
pub(super) struct Kubectl {
    /// The program that is kubectl when it is called so.
    program: PathBuf,
    kubeconfig: OsString,
}

impl Kubectl {
    /// That of the test cluster, built if it is missing.
    pub(super) async fn of(root: &Path, kubeconfig: OsString) -> Result<Self> {
        let program = program(root, "kubernetes").await?;
        Ok(Self { program, kubeconfig })
    }

    /// Asks, or changes something.
    pub(super) async fn call(&self, arguments: &[&str]) -> Result<String> {
        process::read(self.command(arguments), ANSWERS_WITHIN).await
    }

    /// The same for what waits until something is so, within `limit`.
    pub(super) async fn wait(&self, arguments: &[&str], limit: Duration) -> Result<String> {
        let timeout = format!("--timeout={}s", limit.as_secs());
        process::read(self.command(&[arguments, &[&timeout]].concat()), limit + GRACE).await
    }

    /// Applies a file.
    pub(super) async fn apply(&self, file: &Path) -> Result<()> {
        let file = file.to_str().context("a folder has a name that is not Unicode")?;
        self.call(&["apply", "-f", file]).await.map(drop)
    }

    /// A call. Ctrl-C at the terminal does not reach it: whoever calls decides whether it goes on.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg0("kubectl").args(arguments).env("KUBECONFIG", &self.kubeconfig);
        command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        command
    }
}

/// One of the test cluster's programs, built if it is missing.
pub(super) async fn program(root: &Path, name: &'static str) -> Result<PathBuf> {
    let root = root.to_owned();
    let found = tokio::task::spawn_blocking(move || cluster::program(&root, name)).await;
    found.context("looking for a program panicked")?.with_context(|| format!("there is no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kubectl that says how it is called.
    fn echo() -> Kubectl {
        Kubectl { program: "/bin/sh".into(), kubeconfig: "/k.yaml".into() }
    }

    #[tokio::test]
    async fn a_call_names_its_cluster_and_passes_for_kubectl() {
        let said = echo().call(&["-c", "echo $0 $KUBECONFIG $*", "kubectl", "get"]).await.unwrap();
        assert_eq!(said, "kubectl /k.yaml get\n");
    }

    #[tokio::test]
    async fn what_waits_is_told_for_how_long() {
        let said =
            echo().wait(&["-c", "echo $*", "kubectl", "delete"], Duration::from_mins(2)).await.unwrap();
        assert_eq!(said, "delete --timeout=120s\n");
    }

    #[tokio::test]
    async fn a_failure_ends_with_what_kubectl_says() {
        let error = echo().call(&["-c", "echo refused >&2; exit 1"]).await.unwrap_err().to_string();
        assert!(error.ends_with("refused"), "{error}");
    }
}
