//! A container whose output is read as it comes, through the API server: how its end is seen at once.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::space::Space;

/// A container that is attached to.
pub struct Attached {
    process: AttachedProcess,
    output: Box<dyn AsyncRead + Send + Unpin>,
}

impl Attached {
    /// Attaches to what a container writes from now on.
    pub async fn to(space: &Space, pod: &str, container: &str) -> Result<Self> {
        let params = AttachParams::default().container(container).stderr(false);
        let pods = space.api::<Pod>();
        let attached = Box::pin(pods.attach(pod, &params)).await;
        let mut process = attached.with_context(|| format!("attach to {pod}/{container}"))?;
        let output = process.stdout().context("no output was asked for")?;
        Ok(Self { process, output: Box::new(output) })
    }

    /// Waits until it says something.
    pub async fn speaks(&mut self) -> Result<()> {
        self.output.read_u8().await.map(drop).context("the container ended in silence")
    }

    /// Waits until it has ended, and answers when: its output ends with its last process, and that is told at once. A pod's
    /// status has whole seconds, and comes when the kubelet has looked.
    pub async fn end(mut self) -> Result<Instant> {
        let status = self.process.take_status().context("no status was asked for")?;
        tokio::io::copy(&mut self.output, &mut tokio::io::sink()).await?;
        let ended = Instant::now();
        let status = status.await.context("the connection ended before the container did")?;
        ensure!(status.status.as_deref() == Some("Success"), "attached in vain: {status:?}");
        Ok(ended)
    }
}
