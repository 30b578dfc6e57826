//! The control endpoints of a program in a pod: JSON, on a port that only the pod itself can reach.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{forward::Forward, space::Space};

/// How long a call may take; the longest lets every battle end.
const CALL_WITHIN: Duration = Duration::from_mins(5);

/// The way to them; closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    pod: &'static str,
    way: Forward,
}

impl Control {
    /// Opens the way to this port of a pod.
    pub(crate) async fn open(space: &Space, pod: &'static str, port: u16) -> Result<Self> {
        Ok(Self { pod, way: Forward::open(space.api(), pod, port).await? })
    }

    /// Asks, without a body, or tells.
    pub(crate) async fn call(&self, path: &str, body: Option<Value>) -> Result<Value> {
        let client = reqwest::Client::builder().timeout(CALL_WITHIN).build()?;
        let url = format!("http://{}/{path}", self.way.address());
        let request = match body {
            Some(body) => client.post(&url).json(&body),
            None => client.get(&url),
        };
        let pod = self.pod;
        let answer = request.send().await.with_context(|| format!("ask {pod} for {path}"))?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        ensure!(status.is_success(), "{path} of {pod}: {body}");
        Ok(body)
    }
}
