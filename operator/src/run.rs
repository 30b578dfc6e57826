//! The operator's life: watches from the start, looking after fleets while it leads.

use std::{net::Ipv6Addr, sync::Arc, time::Duration};

use anyhow::Context as _;
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use scrapefleet_policy::{Clock, SystemClock};
use scrapefleet_telemetry::{Endpoints, Health, Metrics, Server, Status};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Announcer, Counting, QueueRemoval},
    controller::{self, Context},
    http,
    lease::{Election, Ended, Timing, lead},
    metrics::OperatorMetrics,
    observe::{DepthReader, Reports, Secrets},
    options::Options,
    plan::Images,
    session::Sessions,
    watches,
};

/// An event loop that has not come round for this long is stuck.
const LOOP: Duration = Duration::from_secs(30);

/// A watch that was not begun anew for this long is stuck: the API server ends one after five minutes, and one that
/// fails is tried again within half a minute.
const WATCH: Duration = Duration::from_mins(15);

/// Runs until a signal, or until the lead is lost, which is an error.
pub async fn run(options: Options, removal: Arc<dyn QueueRemoval>) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let registry = Metrics::new("operator", env!("CARGO_PKG_VERSION"))?;
    let metrics = OperatorMetrics::new(&registry, &options.lease_name)?;
    let health = Health::new();
    let client = client(&options, &metrics, &health).await?;
    let synced = health.check("caches", "fleets and pods are not read yet");
    let leading = metrics.leading.clone();
    let status = Status::of(move || json!({ "leads": leading.get() == 1 }));
    let address = (Ipv6Addr::UNSPECIFIED, options.port).into();
    let server =
        Server::start(address, Endpoints { metrics: registry, health: health.clone(), status }).await?;
    tokio::spawn(beat(health.heartbeat("event loop", LOOP)));

    let (caches, feed) =
        watches::caches(client.clone(), options.namespace.clone(), metrics.watch_errors.clone());
    tokio::spawn(feed.run());
    let ready = caches.clone();
    tokio::spawn(async move {
        ready.ready().await;
        synced.pass();
    });

    let election = Election { leading: Some(metrics.leading.clone()), ..election(&options) };
    let context = Arc::new(context(&options, client.clone(), caches, metrics, removal));
    let http = http::client()?;
    let work = {
        let stop = stop.clone();
        async move {
            context.caches.ready().await;
            tracing::info!("leading");
            controller::run(context, http, stop).await;
        }
    };
    let ended = Box::pin(lead(&election, client, stop, work)).await?;
    if let Ended::Lost(lost) = ended {
        anyhow::bail!("{lost}");
    }
    server.stop().await;
    Ok(())
}

/// Another acts within 15 s of a leader's death: 10.2 s until it leads, 3 s until it has heard of every pod.
fn election(options: &Options) -> Election {
    let election = Election::new(&options.lease_namespace, &options.lease_name, &options.identity);
    Election { timing: Timing::BRISK, ..election }
}

fn context(
    options: &Options,
    client: Client,
    caches: watches::Caches,
    metrics: OperatorMetrics,
    removal: Arc<dyn QueueRemoval>,
) -> Context {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Context {
        announcer: Announcer::new(client.clone(), &options.identity),
        reports: Reports::new(clock.clone()),
        depths: DepthReader::new(Secrets::new(client.clone()), clock.clone()),
        sessions: Sessions::default(),
        images: Images { program: options.image.clone(), chrome: options.chrome_image.clone() },
        client,
        caches,
        removal,
        metrics,
        clock,
        pod: options.identity.clone(),
    }
}

async fn client(options: &Options, metrics: &OperatorMetrics, health: &Health) -> anyhow::Result<Client> {
    let config = match &options.kubeconfig {
        None => Config::infer()
            .await
            .context("there is neither a kubeconfig nor a cluster around this process")?,
        Some(file) => {
            let read =
                Kubeconfig::read_from(file).with_context(|| format!("cannot read {}", file.display()))?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("cannot use {}", file.display()))?
        }
    };
    let beats = ["scrapefleets", "pods"]
        .map(|plural| (plural, health.heartbeat(format!("watch of {plural}"), WATCH)));
    let counting = Counting::new(metrics.requests.clone(), beats.into());
    Ok(ClientBuilder::try_from(config)?.with_layer(&counting).build())
}

async fn beat(heartbeat: scrapefleet_telemetry::Heartbeat) {
    let mut tick = tokio::time::interval(LOOP / 10);
    loop {
        tick.tick().await;
        heartbeat.beat();
    }
}

fn stop_on_signals(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.cancel();
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::options::Arguments;

    const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: c
contexts: [{ name: c, context: { cluster: c, user: u } }]
clusters: [{ name: c, cluster: { server: 'https://127.0.0.1:1', insecure-skip-tls-verify: true } }]
users: [{ name: u, user: { token: t } }]
";

    fn options(kubeconfig: &std::path::Path) -> anyhow::Result<Options> {
        let args = ["scrapefleet-operator", "--image=i", "--chrome-image=c", "--kubeconfig"];
        let args = args.iter().map(std::ffi::OsStr::new).chain([kubeconfig.as_os_str()]);
        Arguments::try_parse_from(args)?.options.context("no options")
    }

    async fn client_of(kubeconfig: &std::path::Path) -> anyhow::Result<Client> {
        let options = options(kubeconfig)?;
        let metrics = OperatorMetrics::new(&Metrics::new("operator", "1")?, "lease")?;
        client(&options, &metrics, &Health::new()).await
    }

    #[test]
    fn a_standby_acts_within_fifteen_seconds_of_the_death_of_the_leader() {
        let timing = election(&options("kubeconfig".as_ref()).unwrap()).timing;
        let leads = timing.lease + timing.look(1.0);
        let calls = Duration::from_secs(1);
        assert!(leads + controller::FIRST_REPORTS + calls <= Duration::from_secs(15), "{timing:?}");
    }

    #[tokio::test]
    async fn an_api_server_with_tls_can_be_talked_to_whatever_else_is_in_the_build() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, KUBECONFIG).unwrap();
        client_of(&file).await.unwrap();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_named() {
        let why = client_of("/nowhere/kubeconfig".as_ref()).await.err().unwrap();
        assert!(format!("{why:#}").contains("/nowhere/kubeconfig"), "{why:#}");
    }
}
