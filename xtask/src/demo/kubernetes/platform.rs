//! The services of the test cluster, as `tests/platform` makes them, and what the Showdown server among them logged.

use std::time::Duration;

use anyhow::{Context, Result};
use scrapefleet_test_site::GroundTruth;

use super::{forward::Forward, kubectl::Kubectl};

/// The namespace of the services.
pub(super) const NAMESPACE: &str = "platform";
/// The broker, and its ports for clients and for management.
pub(super) const BROKER: &str = "statefulset/rabbitmq";
pub(super) const AMQP: [u16; 2] = [5672, 15672];
/// The store and its port.
pub(super) const STORE: &str = "statefulset/minio";
pub(super) const S3: u16 = 9000;
/// The Showdown server, and the port that tells what it logged, which is open inside its pod only.
const SITE: &str = "deployment/showdown-site";
const CONTROL: u16 = 8001;

/// How long the server may take to tell what it logged.
const TOLD_WITHIN: Duration = Duration::from_mins(1);

/// A way to the Showdown server, closed when this is dropped.
#[derive(Debug)]
pub(super) struct Site {
    forward: Forward,
    client: reqwest::Client,
}

impl Site {
    /// Finds it; it must run.
    pub(super) async fn reach(kubectl: &Kubectl) -> Result<Self> {
        let forward = Forward::open(kubectl, NAMESPACE, SITE, &[CONTROL]).await;
        let forward =
            forward.context("the cluster has no Showdown server; `cargo xtask cluster up` brings it")?;
        let client = reqwest::Client::builder().timeout(TOLD_WITHIN).build()?;
        Ok(Self { forward, client })
    }

    /// Every battle that it logged as ended.
    pub(super) async fn battles(&self) -> Result<Vec<GroundTruth>> {
        let url = format!("http://{}/battles", self.forward.address(0));
        let answer = self.client.get(url).send().await.and_then(reqwest::Response::error_for_status);
        let answer = answer.context("the Showdown server does not tell what it logged")?;
        answer.json().await.context("the Showdown server's battles cannot be read")
    }
}
