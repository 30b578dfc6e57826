//! One watcher in a pod.

use std::sync::Arc;

use scrapefleet_policy::{SystemClock, within};
use scrapefleet_watcher::{Means, Watcher, WatcherConfig, WatcherMetrics, WatcherStatus};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Duration, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{Ending, factory, no_thread, port::Port, share, signals, watchdog::Watchdog};
use crate::{CliError, args::WatcherArgs, fleet::Fleet};

/// How often the pod shows what its watcher is doing.
const LOOK: Duration = Duration::from_millis(250);

/// Without an answered look at the list for this long it gets nowhere. It is told of and not ended for it: while a site is
/// down, looks are rare.
const LOOKS_WITHIN: Duration = Duration::from_secs(90);

/// How long the watcher is given to queue what it has seen and to end its browser.
const STOPS: Duration = Duration::from_secs(15);

/// Watches until told to stop or until it cannot.
pub async fn watcher(args: &WatcherArgs) -> Ending {
    let ending = match work(args).await {
        Ok(()) => Ending::drained(),
        Err(error) => {
            tracing::error!(%error, "the watcher cannot work");
            Ending::of_error(&error)
        }
    };
    ending.leave_at(&args.pod.termination_log);
    ending
}

async fn work(args: &WatcherArgs) -> Result<(), CliError> {
    let signals = signals::listen()?;
    let fleet = Fleet::load(&args.pod.fleet)?;
    let port = Port::open("watcher", args.pod.port, LOOKS_WITHIN).await?;
    let log = args.pod.termination_log.clone();
    let _watchdog =
        Watchdog::over_process(vec![port.runtime()], log, drop).map_err(|error| no_thread(&error))?;
    let factory = factory(&fleet, &args.pod)?;
    if let Some(file) = args.pod.share.clone() {
        let factory = Arc::clone(&factory);
        tokio::spawn(async move { share::follow(&file, factory, None).await });
    }
    let queue = fleet.open_queue().await?;
    let metrics =
        WatcherMetrics::new(port.metrics()).map_err(|error| CliError::Machine(error.to_string()))?;
    let config = WatcherConfig {
        fleet: fleet.name.clone(),
        spec: fleet.spec.watcher.clone(),
        lanes: fleet.lanes.clone(),
        seed: fastrand::u64(..),
    };
    let (status, seen) = watch::channel(WatcherStatus::default());
    let means = Means { factory, queue: queue.shared(), clock: Arc::new(SystemClock), metrics, status };
    run(Watcher::new(config, means), &signals.drain, seen, &port).await?;
    // What was confirmed is on the broker; a connection that does not close in order is closed by the end of the process.
    if let Err(error) = queue.close().await {
        tracing::warn!(%error, "the queue was not closed in order");
    }
    port.close().await;
    Ok(())
}

/// Runs the watcher until it is told to stop, and shows what it does.
async fn run(
    watcher: Watcher,
    drain: &CancellationToken,
    mut seen: watch::Receiver<WatcherStatus>,
    port: &Port,
) -> Result<(), CliError> {
    let stop = CancellationToken::new();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = std::pin::pin!(watcher.run(stop.clone()));
    loop {
        tokio::select! {
            () = &mut running => return Err(CliError::Ended("the watcher ended by itself".to_owned())),
            () = drain.cancelled() => break,
            _ = looks.tick() => {
                if seen.has_changed().unwrap_or(false) {
                    port.progress.made();
                }
                let status = seen.borrow_and_update().clone();
                port.show(json!(status), status.trouble());
            }
        }
    }
    stop.cancel();
    within(STOPS, "stop the watcher", running).await.map_err(|late| CliError::Ended(late.to_string()))
}
