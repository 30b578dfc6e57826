//! The bot's loop: one small step at a time, for as long as it lives.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use scrapefleet_api::{ItemId, fleet::DrainMode};
use scrapefleet_browser::{BrowserFactory, SiteBrowser};
use scrapefleet_policy::{Abandonment, Breaker, Clock, Strikes, within};
use scrapefleet_queue::{Claim, Consumer, ConsumerOptions, QueueError, TaskQueue};
use scrapefleet_store::ArtifactStore;
use tokio::{sync::watch, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    config::BotConfig,
    exit::BotExit,
    hold::{Hold, Stage},
    lifetime::Lifetime,
    metrics::WorkerMetrics,
    outage::{Outage, PATIENCE},
    postmortem::PostMortems,
    schedule::{NextStep, Situation, next_step},
    spare::Spare,
    status::{BotState, BotStatus, BrowserStatus, HoldStatus},
    steps::Steps,
    store_trouble::StoreTrouble,
    storing::Outcome,
    tally::Tally,
};

/// How many claimed items may wait to be opened: enough that opening never waits for the queue, few enough
/// that what this bot cannot open yet is left to others.
const LINE: usize = 3;

/// While an ended item's artifact is incomplete, it is looked at this often.
const COMPLETING_PROBE: Duration = Duration::from_millis(500);

/// How often the memory of the browser's processes is read.
pub(crate) const MEMORY_EVERY: Duration = Duration::from_secs(10);

/// The longest pause between two turns of the loop: whoever watches it sees that it goes on.
const TURN: Duration = Duration::from_secs(5);

/// How long the end of its browsers is waited for when the bot ends.
const CLOSED: Duration = Duration::from_secs(10);

/// How long a draining bot waits for ends that are being carried out.
const ENDS_CARRIED_OUT: Duration = Duration::from_secs(20);

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
    lifetime: Lifetime,
    /// The most items it may hold now, where that changes.
    limit: Option<watch::Receiver<usize>>,
    pub(crate) post_mortems: PostMortems,
}

/// What the bot knows of its browser.
#[derive(Debug, Clone)]
pub(crate) struct BrowserHealth {
    pub(crate) answered: Instant,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) next_probe: Instant,
    pub(crate) page_connected: bool,
    /// Items opened since it was started.
    pub(crate) opened: u32,
    pub(crate) memory: Option<u64>,
    pub(crate) memory_read: Instant,
    /// No browser is started before this.
    pub(crate) not_before: Instant,
    pub(crate) abandoned: u64,
    pub(crate) last_abandoned: Option<Instant>,
}

impl BrowserHealth {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            answered: now,
            round_trip: None,
            next_probe: now,
            page_connected: true,
            opened: 0,
            memory: None,
            memory_read: now,
            not_before: now,
            abandoned: 0,
            last_abandoned: None,
        }
    }
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

    /// The most items that it may hold now.
    fn may_hold(&self) -> usize {
        let limit = self.limit.as_ref().map_or(usize::MAX, |limit| *limit.borrow());
        self.config.holds.min(limit.max(1))
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
            let until = match self.next(now) {
                Next::Build => {
                    if let Err(exit) = self.build_browser().await {
                        return exit;
                    }
                    continue;
                }
                Next::Step(NextStep::Idle(until)) | Next::Wait(until) => until.min(now + TURN),
                Next::Step(step) => {
                    if let Err(exit) = self.take_step(step).await {
                        return exit;
                    }
                    continue;
                }
            };
            if let Err(error) = self.idle(until, consumer.as_mut(), drain).await {
                return self.queue_lost(&error);
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
            NextStep::RoundTrip => self.prove_alive().await,
            NextStep::Recycle => {
                self.recycle();
                Ok(())
            }
            NextStep::Idle(_) => Ok(()),
        }
    }

    /// Waits for a task, for an end that was carried out, or for the next step's time.
    async fn idle(
        &mut self,
        until: Instant,
        consumer: &mut dyn Consumer,
        drain: &CancellationToken,
    ) -> Result<(), QueueError> {
        let mut limit = self.limit.as_mut().map(|limit| {
            limit.mark_unchanged();
            limit.clone()
        });
        let wants_more = self.wants_more() && !drain.is_cancelled();
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = drain.cancelled(), if !drain.is_cancelled() => {}
            () = changed(limit.as_mut()) => {}
            Some(end) = self.ends.join_next(), if !self.ends.is_empty() => self.ended(end),
            claim = consumer.next(), if wants_more => self.claimed(claim?),
        }
        Ok(())
    }

    fn wants_more(&self) -> bool {
        self.browser.is_some()
            && self.holds.len() < self.may_hold()
            && self.line.len() < LINE
            && self.health.page_connected
            && self.breaker.allows(Instant::now())
            && !self.worn_out()
            && !self.lifetime.is_over()
    }

    fn claimed(&mut self, claim: Box<dyn Claim>) {
        let id = claim.task().id.clone();
        if let Some(hold) = self.holds.get_mut(&id) {
            tracing::debug!(item = %id, "claimed twice; the second claim waits for the end of the first");
            hold.twins.push(claim);
            return;
        }
        let groups = (self.config.artifacts.groups)(&id);
        let hold = Hold::new(claim, groups, Instant::now(), self.parts.clock.now());
        self.holds.insert(id.clone(), hold);
        self.line.push_back(id);
    }

    /// Whether the browser is to be replaced once it holds nothing.
    pub(crate) fn worn_out(&self) -> bool {
        let limits = &self.config.abandonment;
        let mib = self.health.memory.unwrap_or(0) / (1024 * 1024);
        self.health.opened >= count(limits.recycle_after_items)
            || mib >= u64::from(count(limits.recycle_above_mib))
    }

    fn drained(&mut self, by: Instant) -> bool {
        self.state = BotState::Draining;
        let over = self.config.drain.mode == DrainMode::Release || Instant::now() >= by;
        over || self.holds.is_empty()
    }

    /// Why it ends to make room for another, if it does: it is old enough, or has seen nothing of the site for long.
    fn makes_room(&mut self) -> Option<BotExit> {
        let now = Instant::now();
        let was_over = self.lifetime.is_over();
        if let Some(by) = self.lifetime.look(self.config.drain.deadline.get(), now) {
            if !was_over {
                tracing::info!(
                    slot = self.config.slot,
                    held = self.holds.len(),
                    "old enough: it takes nothing more"
                );
            }
            self.state = BotState::Draining;
            return (self.holds.is_empty() || now >= by).then_some(BotExit::Recycled);
        }
        let gives_up = self.state == BotState::SiteUnavailable
            && self.outage.lasts(now) >= PATIENCE
            && self.holds.values().all(|hold| hold.stage == Stage::Waiting);
        gives_up.then_some(BotExit::SiteUnavailable)
    }

    fn consumer(&self) -> impl Future<Output = Result<Box<dyn Consumer>, QueueError>> + use<> {
        let name = format!("{}-bot-{}", self.config.fleet, self.config.slot);
        let options = ConsumerOptions { name, holds: self.config.holds, lanes: self.config.lanes.clone() };
        let queue = self.parts.queue.clone();
        async move { queue.consume(options).await }
    }

    fn queue_lost(&mut self, error: &QueueError) -> BotExit {
        tracing::error!(slot = self.config.slot, %error, "the bot ends because its queue is lost");
        self.last_reason = Some(error.to_string());
        BotExit::QueueUnreachable
    }

    /// Gives back what is held and ends the browser.
    async fn end(&mut self, exit: BotExit) {
        let carried_out = async {
            while let Some(end) = self.ends.join_next().await {
                self.ended(end);
            }
        };
        if within(ENDS_CARRIED_OUT, "carry out ends", carried_out).await.is_err() {
            tracing::warn!(
                slot = self.config.slot,
                left = self.ends.len(),
                "ends not carried out in time come back"
            );
        }
        self.ends.shutdown().await;
        for hold in std::mem::take(&mut self.holds).into_values() {
            self.steps.finish();
            let Some(mut claim) = hold.claim else { continue };
            self.parts.tally.add(|t| t.released += 1);
            self.parts.metrics.items.with_label_values(&["released"]).inc();
            if let Err(error) = claim.release().await {
                tracing::warn!(item = %hold.item.id, %error, "not released; the task comes back when the bot is gone");
            }
        }
        if let Some(browser) = self.browser.take() {
            self.closing.spawn(browser.close());
        }
        let closed = async { while self.closing.join_next().await.is_some() {} };
        if within(CLOSED, "the end of the browsers", closed).await.is_err() {
            tracing::warn!(
                slot = self.config.slot,
                left = self.closing.len(),
                "browsers that do not end are left"
            );
        }
        self.post_mortems.settle().await;
        self.state = BotState::Ended;
        let mut last = self.snapshot();
        last.exit = Some(exit);
        self.parts.status.send_replace(last);
    }

    pub(crate) fn publish_status(&self) {
        let bot = self.config.slot.to_string();
        let held = i64::try_from(self.holds.len()).unwrap_or(i64::MAX);
        self.parts.metrics.held.with_label_values(&[&bot]).set(held);
        self.parts.status.send_replace(self.snapshot());
    }

    pub(crate) fn snapshot(&self) -> BotStatus {
        let now = Instant::now();
        let browser = BrowserStatus {
            process_id: self.browser.as_ref().and_then(|browser| browser.process_id()),
            answered_seconds_ago: self.browser.as_ref().map(|_| (now - self.health.answered).as_secs_f64()),
            round_trip_ms: self
                .health
                .round_trip
                .map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            abandoned: self.health.abandoned,
            memory_mib: self.health.memory.map(|bytes| bytes / (1024 * 1024)),
        };
        let (state, last_reason) = self.shown_state(now);
        BotStatus {
            slot: self.config.slot,
            state,
            last_reason,
            holds: self.holds.values().map(|hold| hold_status(hold, now)).collect(),
            capacity: self.may_hold(),
            browser,
            exit: None,
        }
    }

    /// A bot that goes about its work says so, unless the store takes nothing of it.
    fn shown_state(&self, now: Instant) -> (BotState, Option<String>) {
        let trouble = self.store_trouble.told(now);
        match (self.state, trouble) {
            (BotState::Working | BotState::Draining, Some(why)) => (BotState::StoreUnreachable, Some(why)),
            (state, _) => (state, self.last_reason.clone()),
        }
    }

    /// When the next probe is due: sooner while an ended item is not complete.
    pub(crate) fn schedule_probe(&mut self) {
        let completing = self.holds.values().any(|hold| hold.stage == Stage::Completing);
        let pause = if completing { COMPLETING_PROBE.min(self.config.probe) } else { self.config.probe };
        self.health.next_probe = Instant::now() + pause;
    }
}

/// Waits until the limit changes, if there is one that can.
async fn changed(limit: Option<&mut watch::Receiver<usize>>) {
    if let Some(limit) = limit
        && limit.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

enum Next {
    Build,
    Wait(Instant),
    Step(NextStep),
}

fn hold_status(hold: &Hold, now: Instant) -> HoldStatus {
    HoldStatus {
        item: hold.item.id.clone(),
        url: hold.item.url.clone(),
        since: hold.since,
        step: hold.stage,
        attempt: hold.attempt,
        still_seconds: (now - hold.moved).as_secs(),
    }
}

/// A count from a manifest, whose schema lets no negative number pass.
pub(crate) fn count(n: i32) -> u32 {
    u32::try_from(n).unwrap_or(0)
}
