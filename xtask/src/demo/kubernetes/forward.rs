//! A way from this machine to ports inside the cluster: `kubectl port-forward`.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use scrapefleet_policy::within;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    process::{Child, ChildStderr},
};

use super::kubectl::Kubectl;

/// How long kubectl may take until it listens; it waits for a pod that is not ready yet.
const OPENS_WITHIN: Duration = Duration::from_secs(45);

/// How much of what kubectl complains of is shown.
const SHOWN: u64 = 2_000;

/// Loopback ports of this machine that lead to ports of a pod, until this is dropped.
#[derive(Debug)]
pub(super) struct Forward {
    /// Killed when it is dropped.
    _kubectl: Child,
    /// The ports of this machine, in the order in which those of the pod were asked for.
    local: Vec<u16>,
}

impl Forward {
    /// Opens a way to ports of a pod of `target`, such as `statefulset/minio`.
    pub(super) async fn open(
        kubectl: &Kubectl,
        namespace: &str,
        target: &str,
        ports: &[u16],
    ) -> Result<Self> {
        let wanted: Vec<_> = ports.iter().map(|port| format!(":{port}")).collect();
        let mut command = kubectl.command(&["--namespace", namespace, "port-forward", target]);
        command.args(["--address", "127.0.0.1", "--pod-running-timeout", "30s"]).args(wanted);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("start kubectl")?;
        let (said, complained) = (child.stdout.take(), child.stderr.take());
        let said = said.context("kubectl has no output")?;
        let opened = within(OPENS_WITHIN, "kubectl port-forward", opened(said, ports, complained)).await;
        let local = opened
            .map_err(anyhow::Error::from)
            .flatten()
            .with_context(|| format!("there is no way to {target} in {namespace}"))?;
        Ok(Self { _kubectl: child, local })
    }

    /// The port of this machine that leads to the pod's port number `index` of those asked for.
    pub(super) fn port(&self, index: usize) -> u16 {
        self.local.get(index).copied().unwrap_or_default()
    }

    /// The same with its address, as `127.0.0.1:4711`.
    pub(super) fn address(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.port(index))
    }
}

/// The local ports, once there is one for each. What kubectl says from then on is read and left out, so that it never
/// waits for a reader.
async fn opened(
    said: impl AsyncRead + Unpin + Send + 'static,
    ports: &[u16],
    complained: Option<ChildStderr>,
) -> Result<Vec<u16>> {
    let mut lines = BufReader::new(said).lines();
    let mut found: Vec<Option<u16>> = vec![None; ports.len()];
    while found.contains(&None) {
        let Some(line) = lines.next_line().await.context("read what kubectl says")? else {
            bail!("kubectl has ended: {}", complaint(complained).await);
        };
        let Some((local, remote)) = forwarded(&line) else { continue };
        for (port, found) in ports.iter().zip(&mut found) {
            if *port == remote {
                *found = Some(local);
            }
        }
    }
    tokio::spawn(async move {
        let mut rest = lines.into_inner();
        let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
    });
    tokio::spawn(async move {
        if let Some(mut complained) = complained {
            let _ = tokio::io::copy(&mut complained, &mut tokio::io::sink()).await;
        }
    });
    Ok(found.into_iter().flatten().collect())
}

async fn complaint(stderr: Option<ChildStderr>) -> String {
    let mut text = Vec::new();
    if let Some(stderr) = stderr {
        let _ = stderr.take(SHOWN).read_to_end(&mut text).await;
    }
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// The local and the remote port of a line such as `Forwarding from 127.0.0.1:40567 -> 5672`.
fn forwarded(line: &str) -> Option<(u16, u16)> {
    let (from, to) = line.strip_prefix("Forwarding from 127.0.0.1:")?.split_once(" -> ")?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_are_in_what_kubectl_says() {
        assert_eq!(forwarded("Forwarding from 127.0.0.1:40567 -> 5672"), Some((40567, 5672)));
        for other in ["Handling connection for 40567", "Forwarding from [::1]:40567 -> 5672", ""] {
            assert_eq!(forwarded(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn local_ports_come_in_the_order_asked_for() {
        let said =
            b"Forwarding from 127.0.0.1:2 -> 20\nnoise\nForwarding from 127.0.0.1:1 -> 10\n".as_slice();
        assert_eq!(opened(said, &[10, 20], None).await.unwrap(), [1, 2]);
    }

    #[tokio::test]
    async fn a_kubectl_that_ends_early_is_an_error() {
        let said = b"Forwarding from 127.0.0.1:2 -> 20\n".as_slice();
        let error = opened(said, &[10, 20], None).await.unwrap_err().to_string();
        assert!(error.contains("has ended"), "{error}");
    }
}
