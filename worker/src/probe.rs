//! Looking at all held items at once, and acting on what is seen.

use scrapefleet_api::{ItemId, inspect::Completeness};
use scrapefleet_browser::{Fault, Layer, Observation, PageState, Placement, Probe, Step, StepError};
use scrapefleet_policy::Timeout;
use scrapefleet_queue::Reason;
use tokio::time::Instant;

use crate::{
    bot::Bot,
    exit::BotExit,
    hold::Stage,
    judgement::{Judgement, judge},
    open::crashed,
    outage::Failed,
    status::BotState,
};

impl Bot {
    /// Looks at all held items and does what that calls for.
    pub(crate) async fn probe(&mut self) -> Result<(), BotExit> {
        let Some(browser) = self.browser.as_mut() else { return Ok(()) };
        let started = Instant::now();
        let maker = (&self.parts.factory, self.config.slot);
        let probe = self.spare.beside(browser.doubt(), maker, browser.probe()).await;
        self.parts.metrics.probe_seconds.observe(started.elapsed().as_secs_f64());
        self.health.next_probe = started + self.config.probe;
        let probe = match probe {
            Ok(probe) => probe,
            Err(error) if error.layer() == Layer::Site => {
                self.site_unavailable(&error.to_string());
                return self.reload().await;
            }
            Err(error) => return self.abandon_browser(&error).await,
        };
        self.health.answered = Instant::now();
        let step = self.act_on(probe).await;
        self.schedule_probe();
        step
    }

    async fn act_on(&mut self, probe: Probe) -> Result<(), BotExit> {
        let Probe { page, items, failed, throttled } = probe;
        if throttled {
            tracing::warn!(slot = self.config.slot, "the site drops what is asked too fast");
        }
        for (id, error) in failed {
            self.tab_failed(&id, &error).await?;
            self.steps.finish();
        }
        if !self.look_at_page(page).await? {
            return Ok(());
        }
        let open: Vec<ItemId> =
            self.holds.iter().filter(|(_, hold)| is_open(hold.stage)).map(|(id, _)| id.clone()).collect();
        for id in open {
            // An item the browser does not speak of is as lost as one it reports lost.
            let unseen = Observation::Lost { why: "not among the open items".to_owned() };
            let observation = items.get(&id).cloned().unwrap_or(unseen);
            self.observe(&id, &observation).await?;
            self.steps.finish();
            if self.browser.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Acts on the state of the shared page; answers whether what was seen of the items counts.
    async fn look_at_page(&mut self, page: PageState) -> Result<bool, BotExit> {
        match page {
            PageState::Connected => {
                self.health.page_connected = true;
                if self.outage.is_disproved_by_page(self.config.breaker.cooldown.get(), Instant::now()) {
                    self.outage.end();
                    self.state = BotState::Working;
                }
                return Ok(true);
            }
            PageState::Disconnected { waiting: true, why } => {
                self.health.page_connected = false;
                self.last_reason = Some(why);
            }
            PageState::Disconnected { waiting: false, why } => {
                tracing::info!(slot = self.config.slot, %why, "the page is disconnected and is loaded anew");
                self.last_reason = Some(why);
                self.reload().await?;
            }
            PageState::Unavailable { why } => {
                self.site_unavailable(&why);
                self.reload().await?;
            }
        }
        Ok(false)
    }

    fn site_unavailable(&mut self, why: &str) {
        tracing::warn!(slot = self.config.slot, %why, "the site is unavailable");
        self.last_reason = Some(why.to_owned());
        self.state = BotState::SiteUnavailable;
        let now = Instant::now();
        self.breaker.failure(now);
        self.outage.fail(Failed::Page, now);
    }

    /// Loads the shared page anew, no more often than the breaker lets it. A page that cannot be loaded goes
    /// with its browser; the next one is built when the breaker allows.
    async fn reload(&mut self) -> Result<(), BotExit> {
        self.health.page_connected = false;
        if !self.breaker.try_pass(Instant::now()) {
            return Ok(());
        }
        let Some(browser) = self.browser.as_mut() else { return Ok(()) };
        match browser.reload().await {
            Ok(()) => {
                let now = Instant::now();
                self.breaker.success(now);
                self.health.answered = now;
                self.health.page_connected = true;
                // What was in the page is lost; the next probe says so, item by item.
                self.health.next_probe = now;
                Ok(())
            }
            Err(error) if error.layer() == Layer::Site => {
                self.site_unavailable(&error.to_string());
                Ok(())
            }
            Err(error) => self.abandon_browser(&error).await,
        }
    }

    async fn tab_failed(&mut self, id: &ItemId, error: &StepError) -> Result<(), BotExit> {
        self.count_failure(error);
        tracing::info!(item = %id, %error, "its tab failed");
        let reason = if crashed(error) { Reason::PageCrashed } else { Reason::OpenFailed };
        self.fail(id, reason, &error.to_string()).await;
        self.strike_item_failure(error).await
    }

    async fn observe(&mut self, id: &ItemId, observation: &Observation) -> Result<(), BotExit> {
        let now = Instant::now();
        let Some(hold) = self.holds.get_mut(id) else { return Ok(()) };
        if let Observation::Live { progress } = observation
            && *progress != hold.progress
        {
            hold.progress.clone_from(progress);
            hold.moved = now;
        }
        match judge(hold, observation, &self.config.limits, now) {
            Judgement::Wait => {}
            Judgement::Take => return self.take(id).await,
            Judgement::RecordGone { proof } => self.record_gone(id, &proof),
            Judgement::Reopen { why } => {
                tracing::info!(item = %id, %why, "opened again");
                hold.refreshed |= matches!(observation, Observation::Live { .. } | Observation::Opening);
                hold.wait_again();
                self.line.push_back(id.clone());
            }
            Judgement::Fail { reason, why } => self.fail(id, reason, &why).await,
        }
        Ok(())
    }

    /// Takes the artifact of an ended item and, when it is complete, has it stored.
    async fn take(&mut self, id: &ItemId) -> Result<(), BotExit> {
        let Some(browser) = self.browser.as_mut() else { return Ok(()) };
        let taken = browser.take(id).await;
        let now = Instant::now();
        let Some(hold) = self.holds.get_mut(id) else { return Ok(()) };
        let ended = *hold.ended.get_or_insert(now);
        let artifact = match taken {
            Ok(artifact) => artifact,
            Err(error) if error.layer() == Layer::Browser => return self.abandon_browser(&error).await,
            Err(error) => {
                self.count_failure(&error);
                self.fail(id, Reason::TakeFailed, &error.to_string()).await;
                return self.strike_item_failure(&error).await;
            }
        };
        self.health.answered = now;
        self.item_failures.pardon();
        let waited_long = now - ended >= self.config.complete_within;
        match self.config.artifacts.completeness(id, &artifact) {
            Completeness::Complete => self.store(id, &artifact, None),
            Completeness::Late(why) if waited_long => self.store(id, &artifact, Some(&why)),
            Completeness::Broken(why) if waited_long => self.fail_incomplete(id, artifact, &why).await,
            Completeness::Late(_) | Completeness::Broken(_) => hold.stage = Stage::Completing,
        }
        Ok(())
    }

    /// Has the browser evaluate a script, the only proof that it lives, and now and then reads its memory.
    pub(crate) async fn prove_alive(&mut self) -> Result<(), BotExit> {
        let Some(browser) = self.browser.as_mut() else { return Ok(()) };
        let (doubt, slot) = (browser.doubt(), self.config.slot);
        let limit = Timeout::hard(self.config.abandonment.unresponsive.get());
        let answer = async {
            match limit.run("round trip", browser.round_trip()).await {
                Ok(answer) => answer,
                Err(expired) => {
                    let error = StepError::new(Step::RoundTrip, Fault::Timeout, &expired.to_string());
                    Err(error.after(expired.elapsed))
                }
            }
        };
        let error = match self.spare.beside(doubt, (&self.parts.factory, slot), answer).await {
            Ok(took) => {
                self.health.answered = Instant::now();
                self.health.round_trip = Some(took);
                self.read_memory().await;
                return Ok(());
            }
            Err(error) => error,
        };
        self.abandon_browser(&error).await
    }
}

fn is_open(stage: Stage) -> bool {
    matches!(stage, Stage::Open | Stage::Completing)
}

/// Whether an item shares its page with others.
pub(crate) fn is_shared(placement: Placement) -> bool {
    placement == Placement::Ordinary
}
