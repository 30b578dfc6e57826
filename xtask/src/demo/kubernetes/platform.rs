//! The services of the test cluster, as `tests/platform` makes them, and what the Showdown server among them logged.

use anyhow::{Context, Result};
use scrapefleet_test_site::{GroundTruth, battles_logged_at};

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

/// A way to the Showdown server, closed when this is dropped.
#[derive(Debug)]
pub(super) struct Site {
    forward: Forward,
}

impl Site {
    /// Finds it; it must run.
    pub(super) async fn reach(kubectl: &Kubectl) -> Result<Self> {
        let forward = Forward::open(kubectl, NAMESPACE, SITE, &[CONTROL]).await;
        let forward =
            forward.context("the cluster has no Showdown server; `cargo xtask cluster up` brings it")?;
        Ok(Self { forward })
    }

    /// Every battle that it logged as ended.
    pub(super) async fn battles(&self) -> Result<Vec<GroundTruth>> {
        battles_logged_at(self.forward.port(0)).await
    }
}
