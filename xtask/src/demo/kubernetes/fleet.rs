//! The fleet of the demo: applied, watched, suspended, verified, deleted, in a namespace of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use scrapefleet_api::ScrapeFleetStatus;
use scrapefleet_policy::within;
use tempfile::TempDir;
use tokio::{process::Command, time::Instant};

use super::{
    bucket::Bucket,
    forward::Forward,
    kubectl::Kubectl,
    manifest::{BROKER, Manifest, STORE, settings},
    platform::{self, Site},
    shown::Shown,
    status::{self, Seen, Standing},
};
use crate::demo::{
    report::{Ledger, RunReport},
    scrape,
    signals::Signals,
    truth::{self, Comparison, Logs},
};

/// The namespace of the demo, which the next demo empties, and its bucket.
pub(super) const NAMESPACE: &str = "scrapefleet-demo";
const BUCKET: &str = "scrapefleet-demo";

/// The kind of resource, as kubectl is told.
const KIND: &str = "scrapefleets.scrapefleet.io";

/// How often the status is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After so many looks in a row that failed there is no cluster to look at.
const FAILED_LOOKS: u32 = 15;

/// How long a suspended fleet may take to give back what it holds, and a deleted one until it is gone.
const DRAINED_WITHIN: Duration = Duration::from_mins(3);

/// How long a namespace may take to go.
const GONE_WITHIN: Duration = Duration::from_mins(2);

/// A fleet, and what it takes to look after it.
#[derive(Debug)]
pub(super) struct Fleet {
    kubectl: Kubectl,
    name: String,
    /// The manifest, where a person finds it.
    file: PathBuf,
    /// Secrets and credentials; gone with this.
    private: TempDir,
}

/// How the scrape ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// So many battles are stored.
    Stored,
    /// A person ended it.
    Interrupted,
    /// It took too long, or the fleet failed.
    Failed(String),
}

impl Fleet {
    /// The example of this checkout, its manifest written into the folder `data`.
    pub(super) fn of(kubectl: &Kubectl, root: &Path, data: &Path) -> Result<Self> {
        let settings = settings(BUCKET);
        let manifest = Manifest::of(root, NAMESPACE, &settings)?;
        let name = manifest.name()?.to_owned();
        let file = data.join(format!("{name}.yaml"));
        write(&file, &manifest.fleet_yaml()?)?;
        let private = tempfile::tempdir().context("make a folder for credentials")?;
        write(&private.path().join("secrets.yaml"), &manifest.secrets_yaml()?)?;
        for (folder, values) in [("broker", BROKER), ("store", STORE)] {
            let folder = private.path().join(folder);
            fs::create_dir(&folder).context("make a folder for credentials")?;
            values.iter().try_for_each(|(name, value)| write(&folder.join(name), value))?;
        }
        for (path, value) in &settings {
            eprintln!("   {path}: {value}");
        }
        Ok(Self { kubectl: kubectl.clone(), name, file, private })
    }

    /// Applies it, with a bucket, and in a namespace in which nothing else is.
    pub(super) async fn apply(&self) -> Result<()> {
        clear(&self.kubectl).await.context("what an earlier demo left cannot be cleared away")?;
        // Fails early where there is no server to scrape.
        Site::reach(&self.kubectl).await?;
        Bucket::reach(&self.kubectl, BUCKET).await?.make_anew().await?;
        self.kubectl.call(&["create", "namespace", NAMESPACE]).await?;
        self.kubectl.apply(&self.private.path().join("secrets.yaml")).await?;
        self.kubectl.apply(&self.file).await
    }

    /// Shows the progress until so many battles are stored, or until it makes no sense to wait any longer.
    pub(super) async fn watch(
        &self,
        wanted: u64,
        limit: Duration,
        signals: &mut Signals,
    ) -> Result<(End, RunReport)> {
        let began = Instant::now();
        let (mut seen, mut shown) = (Seen::default(), Shown::on_stderr());
        let end = {
            let watch = within(limit, "the scrape", self.watch_on(wanted, &mut seen, &mut shown));
            tokio::select! {
                () = signals.next() => End::Interrupted,
                end = watch => match end {
                    Ok(end) => end?,
                    Err(expired) => End::Failed(expired.to_string()),
                },
            }
        };
        shown.end();
        let seconds = began.elapsed().as_secs_f64();
        Ok((end, RunReport::of_fleet(seen.held_peak, seconds)))
    }

    async fn watch_on(&self, wanted: u64, seen: &mut Seen, shown: &mut Shown) -> Result<End> {
        loop {
            let status = self.look().await?;
            seen.take(&status);
            shown.show(&status::line(&status, wanted));
            match status::standing(&status, wanted) {
                Standing::Stored => return Ok(End::Stored),
                Standing::Failed(why) => return Ok(End::Failed(format!("the fleet has failed: {why}"))),
                Standing::Scraping => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Has it give back what it holds, so that nothing moves any more.
    pub(super) async fn suspend(&self) -> Result<()> {
        let patch = r#"{"spec": {"suspend": true}}"#;
        let resource = format!("{KIND}/{}", self.name);
        self.kubectl
            .call(&["--namespace", NAMESPACE, "patch", &resource, "--type=merge", "--patch", patch])
            .await?;
        let drained = async {
            while !status::is_suspended(&self.look().await?) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        within(DRAINED_WITHIN, "giving back what the fleet holds", drained).await?
    }

    /// Its status. One failed look is not the end: the API server may be restarting.
    async fn look(&self) -> Result<ScrapeFleetStatus> {
        let ask = ["--namespace", NAMESPACE, "get", KIND, &self.name, "-o", "json"];
        let mut failed = 0;
        loop {
            match self.kubectl.call(&ask).await {
                Ok(json) => return status::read(&json),
                Err(error) if failed >= FAILED_LOOKS => return Err(error.context("look at the fleet")),
                Err(_) => failed += 1,
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Accounts for every item, and compares every log in the bucket with the server's own.
    pub(super) async fn check(&self, program: &Path) -> Result<(Ledger, Logs, Comparison)> {
        let broker = Forward::open(&self.kubectl, platform::NAMESPACE, platform::BROKER, &platform::AMQP);
        let (broker, bucket) = (broker.await?, Bucket::reach(&self.kubectl, BUCKET).await?);
        let ledger = Ledger::read(&scrape::ledger(self.verify(program, &broker, &bucket)).await?)?;
        let stored = truth::stored_logs(&bucket.store().await?).await?;
        let site = Site::reach(&self.kubectl).await?;
        let server = truth::server_logs(async || site.battles().await, &stored).await?;
        let comparison = truth::compare(&stored, &server);
        Ok((ledger, stored, comparison))
    }

    /// The call of `scrapefleet verify` that a person outside the cluster would make.
    fn verify(&self, program: &Path, broker: &Forward, bucket: &Bucket) -> Command {
        let mut verify = Command::new(program);
        verify.args(["verify", "-f"]).arg(&self.file).args(["--namespace", NAMESPACE]);
        for (path, place) in [
            ("spec.queue.rabbitmq.url", format!("amqp://{}", broker.address(0))),
            ("spec.queue.rabbitmq.managementUrl", format!("http://{}", broker.address(1))),
            ("spec.store.s3.endpoint", bucket.endpoint()),
        ] {
            verify.arg("--set").arg(format!("{path}={place}"));
        }
        verify.arg("--queue-credentials").arg(self.private.path().join("broker"));
        verify.arg("--store-credentials").arg(self.private.path().join("store"));
        verify
    }
}

/// Removes the demo's fleets with their queues, its namespace, and its bucket, as far as they are there.
pub(super) async fn clear(kubectl: &Kubectl) -> Result<()> {
    let there = kubectl.call(&["get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "name"]).await?;
    if !there.trim().is_empty() {
        // First, while the Secrets are there with which the operator removes its queues.
        let fleets = ["--namespace", NAMESPACE, "delete", KIND, "--all"];
        kubectl
            .wait(&fleets, DRAINED_WITHIN)
            .await
            .context("the fleet does not go; is there an operator?")?;
        kubectl.wait(&["delete", "namespace", NAMESPACE], GONE_WITHIN).await?;
    }
    Bucket::reach(kubectl, BUCKET).await?.remove().await
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
