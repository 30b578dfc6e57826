//! `scrapefleet run`: watcher and bots in one process, on the embedded queue and a directory.

mod crew;
mod machine;
mod memory;
mod progress;
mod report;
mod service;
mod signals;
mod snapshot;
mod watching;

use std::{sync::Arc, time::Duration};

use scrapefleet_policy::{Clock, SystemClock, within};
use scrapefleet_queue::TaskQueue;
use scrapefleet_worker::Signals;
use tokio::time::{Instant, MissedTickBehavior};

pub use progress::Display;
pub use report::Report;

use crate::{CliError, args::RunArgs, fleet::Fleet};
use crew::Crew;
use memory::Memory;

use service::Service;
use snapshot::Snapshot;
use watching::Watching;

/// How often the run looks at itself: progress, scaling, the end.
const LOOK: Duration = Duration::from_millis(500);

/// How long the watcher is given to stop.
const WATCHER_STOPS: Duration = Duration::from_secs(20);

/// How long the queue is given to write what waits to be written.
const QUEUE_CLOSES: Duration = Duration::from_secs(20);

/// Scrapes until told to stop, or until `--until-stored` is reached. A fleet that is suspended is left alone.
pub async fn run(args: &RunArgs, display: Display) -> Result<(), CliError> {
    let fleet = Fleet::load(&args.fleet)?;
    if fleet.spec.suspend {
        eprintln!(
            "{} is suspended: nothing is discovered or opened, and what waits stays where it is; \
             `spec.suspend: false` starts it again",
            fleet.name
        );
        return Ok(());
    }
    let factory = machine::factory(&fleet, args)?;
    let queue = fleet.open_queue().await?;
    let store = fleet.open_store().await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let telemetry = Service::start(args.port).await?;
    let signals = signals::listen(&display);
    let shared = queue.shared();

    let watching =
        Watching::start(&fleet, factory.clone(), shared.clone(), clock.clone(), telemetry.metrics())?;
    let crew = Crew::new(
        &fleet,
        crew::Means { factory, queue: shared.clone(), store, clock },
        telemetry.metrics(),
        signals.clone(),
    )?;
    let mut run = Run {
        fleet: &fleet,
        args,
        queue: shared,
        telemetry,
        watching,
        crew,
        memory: Memory::default(),
        display,
    };
    let begun = Instant::now();
    let ended = run.go(&signals).await;
    let report = run.end(&signals, begun).await;
    run.telemetry.stop().await;
    within(QUEUE_CLOSES, "close the queue", queue.close())
        .await
        .map_err(|expired| CliError::Ended(expired.to_string()))??;
    report?;
    ended
}

struct Run<'a> {
    fleet: &'a Fleet,
    args: &'a RunArgs,
    queue: Arc<dyn TaskQueue>,
    telemetry: Service,
    watching: Watching,
    crew: Crew,
    memory: Memory,
    display: Display,
}

impl Run<'_> {
    /// Works until there is a reason to stop.
    async fn go(&mut self, signals: &Signals) -> Result<(), CliError> {
        self.display.begin(self.fleet, self.telemetry.address());
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = signals.drain.cancelled() => return Ok(()),
                ended = self.watching.ended() => return Err(CliError::Ended(ended)),
                ended = self.crew.ended() => return Err(CliError::Ended(ended)),
                _ = looks.tick() => {}
            }
            let snapshot = self.look().await?;
            if self.args.until_stored.is_some_and(|enough| snapshot.totals.stored >= enough) {
                return Ok(());
            }
            self.crew.scale_out(&snapshot.depth);
        }
    }

    async fn look(&mut self) -> Result<Snapshot, CliError> {
        let snapshot = Snapshot {
            depth: self.queue.depth().await?,
            totals: self.crew.totals(),
            bots: self.crew.bots(),
            watcher: self.watching.status(),
            goal: self.args.until_stored,
        };
        self.memory.sample(snapshot.held()).await;
        self.telemetry.show(&snapshot);
        self.display.show(&snapshot);
        Ok(snapshot)
    }

    /// Stops discovery, then the bots, and says what was done.
    async fn end(&mut self, signals: &Signals, begun: Instant) -> Result<(), CliError> {
        self.memory.sample_now().await;
        self.watching.stop(WATCHER_STOPS).await;
        signals.drain.cancel();
        self.display.draining(&self.fleet.spec.drain);
        while !self.crew.is_gone() {
            self.crew.leave(LOOK).await;
            self.look().await?;
        }
        let snapshot = self.look().await?;
        self.display.end(&snapshot);
        let report = Report::of(&snapshot, self.queue.as_ref(), &self.memory, begun.elapsed()).await?;
        match &self.args.report {
            Some(path) => report.write(path),
            None => Ok(()),
        }
    }
}
