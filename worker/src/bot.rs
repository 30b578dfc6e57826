//! The bot's loop: one small step at a time, for as long as it lives.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use scrapefleet_api::ItemId;
use scrapefleet_browser::{BrowserFactory, SiteBrowser};
use scrapefleet_policy::{Abandonment, Breaker, Clock, Strikes};
use scrapefleet_queue::{Consumer, TaskQueue};
use scrapefleet_store::ArtifactStore;
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{BotConfig, count},
    exit::BotExit,
    health::BrowserHealth,
    hold::{Hold, Stage},
    lifetime::Lifetime,
    metrics::WorkerMetrics,
    outage::Outage,
    postmortem::PostMortems,
    schedule::{NextStep, Situation, next_step},
    spare::Spare,
    status::{BotState, BotStatus},
    steps::Steps,
    store_trouble::StoreTrouble,
    storing::Outcome,
    tally::Tally,
};

/// The longest pause between two turns of the loop: whoever watches it sees that it goes on.
const TURN: Duration = Duration::from_secs(5);

/// What a bot works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Makes its browsers.
    pub factory: Arc<dyn BrowserFactory>,
    /// Where its tasks come from.
    pub queue: Arc<dyn TaskQueue>,
    /// Where its artifacts go.
    pub store: Arc<dyn ArtifactStore>,
    /// What all bots have done.
    pub tally: Tally,
    /// What it counts for Prometheus.
    pub metrics: WorkerMetrics,
    /// Wall-clock time, for records.
    pub clock: Arc<dyn Clock>,
    /// What it shows of itself.
    pub status: watch::Sender<BotStatus>,
}

/// How a bot is told to end.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// Take no more items; end as the drain mode says.
    pub drain: CancellationToken,
    /// Give back everything now.
    pub release: CancellationToken,
}

/// One Chrome and the items it holds.
pub struct Bot {
    pub(crate) config: BotConfig,
    pub(crate) parts: Parts,
    pub(crate) rng: fastrand::Rng,
    pub(crate) holds: BTreeMap<ItemId, Hold>,
    /// Held items in line to be opened.
    pub(crate) line: VecDeque<ItemId>,
    /// Items whose places in the browser are to be freed.
    pub(crate) leaving: VecDeque<ItemId>,
    pub(crate) ends: JoinSet<Outcome>,
    pub(crate) browser: Option<Box<dyn SiteBrowser>>,
    pub(crate) spare: Spare,
    /// Browsers that were thrown away and end.
    pub(crate) closing: JoinSet<()>,
    pub(crate) health: BrowserHealth,
    pub(crate) breaker: Breaker,
    pub(crate) rebuilds: Strikes,
    pub(crate) item_failures: Strikes,
    pub(crate) state: BotState,
    pub(crate) last_reason: Option<String>,
    /// What the site has failed at lately.
    pub(crate) outage: Outage,
    pub(crate) store_trouble: StoreTrouble,
    pub(crate) steps: Steps,
    pub(crate) lifetime: Lifetime,
    /// The most items it may hold now, where that changes.
    pub(crate) limit: Option<watch::Receiver<usize>>,
    pub(crate) post_mortems: PostMortems,
}

impl Bot {
    /// A bot that has not started yet.
    #[must_use]
    pub fn new(config: BotConfig, parts: Parts) -> Self {
        let (abandonment, breaker) = (&config.abandonment, &config.breaker);
        let mut rng = fastrand::Rng::with_seed(config.seed);
        Self {
            lifetime: Lifetime::begin(abandonment.max_lifetime.get(), rng.f64(), Instant::now()),
            rng,
            holds: BTreeMap::new(),
            line: VecDeque::new(),
            leaving: VecDeque::new(),
            ends: JoinSet::new(),
            browser: None,
            spare: Spare::default(),
            closing: JoinSet::new(),
            health: BrowserHealth::new(Instant::now()),
            breaker: Breaker::after(count(breaker.failures))
                .failures_within(breaker.within.get())
                .cooldown(breaker.cooldown.get()),
            rebuilds: Abandonment::after(count(abandonment.rebuilds))
                .within(abandonment.rebuilds_within.get()),
            item_failures: Abandonment::after(count(abandonment.item_failures)).in_a_row(),
            state: BotState::Starting,
            last_reason: None,
            outage: Outage::default(),
            store_trouble: StoreTrouble::default(),
            steps: Steps::default(),
            limit: None,
            post_mortems: PostMortems::default(),
            config,
            parts,
        }
    }

    /// The same, with what says where its browsers die and what the log had before.
    #[must_use]
    pub fn with_post_mortems(mut self, post_mortems: PostMortems) -> Self {
        self.post_mortems = post_mortems;
        self
    }

    /// The same, holding at most as many items as `limit` says at the time, and never more than its configuration says.
    /// What it holds when the limit falls it keeps until it ends; one item may always be held.
    #[must_use]
    pub fn limited_to(mut self, limit: watch::Receiver<usize>) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The same, counting the steps that it finishes into `steps`.
    #[must_use]
    pub fn counted_by(mut self, steps: Steps) -> Self {
        self.steps = steps;
        self
    }

    /// Works until told to end or until there is no use in going on. Whatever it still holds is given back.
    pub async fn run(mut self, signals: Signals) -> BotExit {
        // The consumer outlives the work: claims are finished through it to the very end.
        let mut consumer = None;
        let exit = tokio::select! {
            biased;
            () = signals.release.cancelled() => BotExit::Released,
            exit = self.work(&mut consumer, &signals.drain) => exit,
        };
        self.end(exit).await;
        drop(consumer);
        exit
    }

    async fn work(&mut self, consumer: &mut Option<Box<dyn Consumer>>, drain: &CancellationToken) -> BotExit {
        let consumer = match self.consumer().await {
            Ok(made) => consumer.insert(made),
            Err(error) => return self.queue_lost(&error),
        };
        let mut drain_by = None;
        loop {
            self.steps.finish();
            self.publish_status();
            if drain.is_cancelled() {
                let by = *drain_by.get_or_insert_with(|| Instant::now() + self.config.drain.deadline.get());
                if self.drained(by) {
                    return BotExit::Drained;
                }
            } else if let Some(exit) = self.makes_room() {
                return exit;
            }
            self.collect_ends();
            let now = Instant::now();
            let done = match self.next(now) {
                Next::Build => self.build_browser().await,
                Next::Step(NextStep::Idle(until)) | Next::Wait(until) => {
                    let idle = self.idle(until.min(now + TURN), consumer.as_mut(), drain).await;
                    idle.map_err(|error| self.queue_lost(&error))
                }
                Next::Step(step) => self.take_step(step).await,
            };
            if let Err(exit) = done {
                return exit;
            }
        }
    }

    fn next(&mut self, now: Instant) -> Next {
        if self.browser.is_none() {
            return if self.health.not_before <= now {
                Next::Build
            } else {
                Next::Wait(self.health.not_before)
            };
        }
        let open = self.holds.values().any(|hold| matches!(hold.stage, Stage::Open | Stage::Completing));
        // The page is what says that the site is back where there is no item to say so.
        let looks = open || self.state == BotState::SiteUnavailable;
        Next::Step(next_step(
            &Situation {
                probe_due: looks.then_some(self.health.next_probe),
                answered: self.health.answered,
                quiet: self.config.abandonment.unresponsive.get() / 6,
                waiting: self.line.len(),
                leaving: self.leaving.len(),
                isolate: self.next_to_isolate().is_some(),
                may_open: self.health.page_connected && self.breaker.allows(now),
                recycle: self.worn_out() && self.holds.is_empty(),
            },
            now,
        ))
    }

    async fn take_step(&mut self, step: NextStep) -> Result<(), BotExit> {
        match step {
            NextStep::Probe => self.probe().await,
            NextStep::Leave => self.leave_next().await,
            NextStep::Open => self.open_next().await,
            NextStep::Isolate => self.isolate_next().await,
            NextStep::RoundTrip => self.prove_alive().await,
            NextStep::Recycle => {
                self.recycle();
                Ok(())
            }
            NextStep::Idle(_) => Ok(()),
        }
    }
}

/// What the loop does next.
enum Next {
    Build,
    Wait(Instant),
    Step(NextStep),
}
