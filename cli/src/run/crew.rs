//! The bots of a run: started as work comes, replaced when they end for a reason that a new one may not have.

use std::{sync::Arc, time::Duration};

use scrapefleet_browser::BrowserFactory;
use scrapefleet_policy::{Abandonment, Backoff, Clock, Jitter, Verdict, within};
use scrapefleet_queue::{Depth, TaskQueue};
use scrapefleet_store::ArtifactStore;
use scrapefleet_telemetry::Metrics;
use scrapefleet_worker::{
    Bot, BotConfig, BotExit, BotStatus, Parts, PostMortems, Signals, Tally, Totals, WorkerMetrics,
};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{CliError, fleet::Fleet};

/// A slot whose bot had to be replaced this often within [`REPLACED_WITHIN`] ends the run: something is wrong
/// that no new bot mends.
const REPLACEMENTS: u32 = 6;

/// The window in which replacements of a slot are counted.
const REPLACED_WITHIN: Duration = Duration::from_mins(10);

/// The pause before a replacement.
const REPLACE: Backoff = Backoff::from(Duration::from_millis(500)).to(Duration::from_secs(30));

/// What every bot works with.
#[derive(Debug, Clone)]
pub(super) struct Means {
    pub(super) factory: Arc<dyn BrowserFactory>,
    pub(super) queue: Arc<dyn TaskQueue>,
    pub(super) store: Arc<dyn ArtifactStore>,
    pub(super) clock: Arc<dyn Clock>,
}

/// The bots of a run.
pub(super) struct Crew {
    fleet: Fleet,
    means: Means,
    metrics: WorkerMetrics,
    post_mortems: PostMortems,
    tally: Tally,
    signals: Signals,
    bots: Vec<watch::Receiver<BotStatus>>,
    slots: JoinSet<Result<(), String>>,
}

impl Crew {
    /// No bots yet; [`scale_out`](Self::scale_out) starts them.
    pub(super) fn new(
        fleet: &Fleet,
        means: Means,
        metrics: &Metrics,
        signals: Signals,
    ) -> Result<Self, CliError> {
        let metrics = WorkerMetrics::new(metrics).map_err(|error| CliError::Machine(error.to_string()))?;
        Ok(Self {
            fleet: fleet.clone(),
            means,
            metrics,
            post_mortems: PostMortems::of_this_process(),
            tally: Tally::default(),
            signals,
            bots: Vec::new(),
            slots: JoinSet::new(),
        })
    }

    /// Starts the bots that `depth` calls for. Bots are not taken away again: an idle one costs a Chrome that
    /// does nothing, and stopping the run stops all.
    pub(super) fn scale_out(&mut self, depth: &Depth) {
        let spec = &self.fleet.spec.bots;
        let desired = usize::try_from(spec.desired(depth.ready, depth.held, depth.delayed)).unwrap_or(0);
        while self.bots.len() < desired {
            self.start_slot();
        }
    }

    fn start_slot(&mut self) {
        let slot = u32::try_from(self.bots.len()).unwrap_or(u32::MAX);
        let config = self.fleet.bot_config(slot, self.fleet.spec.bots.max, u64::from(slot));
        let (status, seen) = watch::channel(BotStatus::starting(slot, config.holds));
        let parts = Parts {
            factory: self.means.factory.clone(),
            queue: self.means.queue.clone(),
            store: self.means.store.clone(),
            tally: self.tally.clone(),
            metrics: self.metrics.clone(),
            clock: self.means.clock.clone(),
            status,
        };
        self.bots.push(seen);
        self.slots.spawn(keep(config, parts, self.post_mortems.clone(), self.signals.clone()));
    }

    pub(super) fn totals(&self) -> Totals {
        self.tally.totals()
    }

    pub(super) fn bots(&self) -> Vec<BotStatus> {
        self.bots.iter().map(|bot| bot.borrow().clone()).collect()
    }

    /// Waits until a slot is given up, and says why. Never while all is well.
    pub(super) async fn ended(&mut self) -> String {
        loop {
            match self.slots.join_next().await {
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(why))) => return why,
                Some(Err(error)) => return format!("a bot failed: {error}"),
                None => std::future::pending().await,
            }
        }
    }

    /// Waits for bots to leave, no longer than `limit`.
    pub(super) async fn leave(&mut self, limit: Duration) {
        // Both outcomes are looked at by the caller: it asks `is_gone`.
        drop(within(limit, "wait for a bot", self.slots.join_next()).await);
    }

    pub(super) fn is_gone(&self) -> bool {
        self.slots.is_empty()
    }
}

/// Keeps a slot filled until it is drained, or until its bots end too often.
async fn keep(
    config: BotConfig,
    parts: Parts,
    post_mortems: PostMortems,
    signals: Signals,
) -> Result<(), String> {
    let mut replacements = Abandonment::after(REPLACEMENTS).within(REPLACED_WITHIN);
    let jitter = Jitter::seeded(config.seed);
    loop {
        let bot = Bot::new(config.clone(), parts.clone()).with_post_mortems(post_mortems.clone());
        let exit = bot.run(signals.clone()).await;
        if !exit.wants_replacement() {
            return Ok(());
        }
        if !exit.counts_against_slot() {
            tracing::info!(slot = config.slot, ?exit, "another bot takes its place");
            continue;
        }
        let now = Instant::now();
        if replacements.strike(now) == Verdict::Abandon {
            return Err(given_up(&config, exit, &parts.status.borrow()));
        }
        tracing::warn!(slot = config.slot, ?exit, "the bot is replaced");
        let pause = REPLACE.delay(replacements.count(now), jitter.draw());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = signals.drain.cancelled() => return Ok(()),
        }
    }
}

fn given_up(config: &BotConfig, exit: BotExit, last: &BotStatus) -> String {
    let why = last.last_reason.as_deref().unwrap_or("no reason given");
    format!(
        "bot {} had to be replaced {REPLACEMENTS} times within {REPLACED_WITHIN:?} and ended again ({exit:?}): {why}",
        config.slot
    )
}
