//! Throwing a browser away whole, and building another.

use scrapefleet_api::ItemId;
use scrapefleet_browser::{Fault, Layer, Placement, StepError};
use scrapefleet_policy::{Backoff, Timeout, Verdict};
use scrapefleet_queue::Reason;
use tokio::time::{Duration, Instant};

use crate::{
    blame::Ruling, bot::Bot, exit::BotExit, hold::Stage, open::crashed, outage::Failed, probe::is_shared,
    status::BotState,
};

/// How long Chrome and its driver may take to start and to load the first page.
const BUILD: Timeout = Timeout::hard(Duration::from_mins(1));

/// The pause before a browser that could not be started is tried again.
const REBUILD: Backoff = Backoff::from(Duration::from_millis(250)).to(Duration::from_secs(10));

/// A browser that dies without a word is suspected to be killed by an item when one died so shortly before.
const TWICE_WITHIN: Duration = Duration::from_mins(1);

impl Bot {
    /// Throws the browser away: its processes are killed, what it held waits in line to be opened in the next.
    pub(crate) async fn abandon_browser(&mut self, error: &StepError) -> Result<(), BotExit> {
        self.count_failure(error);
        let now = Instant::now();
        tracing::warn!(slot = self.config.slot, held = self.holds.len(), %error, "the browser is abandoned");
        let reason = format!("{:?}", error.fault);
        self.parts.metrics.abandoned.with_label_values(&["browser", &reason]).inc();
        self.parts.tally.add(|t| t.browsers_abandoned += 1);
        let last = self.rebuilds.strike(now) == Verdict::Abandon;
        self.write_post_mortem(error, last).await;
        self.last_reason = Some(error.to_string());
        if last {
            tracing::error!(slot = self.config.slot, "too many browsers abandoned: the bot ends");
            return Err(BotExit::BrowserNotRebuilt);
        }
        let twice = self.health.last_abandoned.is_some_and(|last| now - last <= TWICE_WITHIN);
        let answered = self.health.answered;
        self.holds
            .values_mut()
            .filter(|hold| hold.stage == Stage::Open)
            .for_each(|hold| hold.survive(answered));
        if crashed(error) || twice {
            self.suspect();
        }
        self.drop_browser(now);
        self.health.abandoned += 1;
        self.health.last_abandoned = Some(now);
        Ok(())
    }

    /// Kills the browser and puts everything that is held in line. What is opened alone comes first: should the browser die of
    /// it, nothing else was in it. Then comes what has ended.
    fn drop_browser(&mut self, now: Instant) {
        self.state = BotState::Rebuilding;
        if let Some(browser) = self.browser.take() {
            self.publish_status();
            // The next one does not wait for the end of one that may hang.
            self.closing.spawn(browser.close());
        }
        while self.closing.try_join_next().is_some() {}
        self.leaving.clear();
        let mut line = Vec::new();
        for (id, hold) in self.holds.iter_mut().filter(|(_, hold)| hold.stage != Stage::Storing) {
            let goes_on = hold.stage != Stage::Completing;
            line.push((is_shared(hold.placement), goes_on, hold.claimed, id.clone()));
            hold.stage = Stage::Waiting;
        }
        line.sort();
        self.line = line.into_iter().map(|(.., id)| id).collect();
        self.health = self.health.of_the_next(now);
    }

    /// Replaces a worn-out browser that holds nothing.
    pub(crate) fn recycle(&mut self) {
        tracing::info!(slot = self.config.slot, opened = self.health.opened, "the browser is recycled");
        self.parts.metrics.abandoned.with_label_values(&["browser", "recycled"]).inc();
        self.drop_browser(Instant::now());
    }

    /// A browser died while an item was being opened. The item gets the benefit of the doubt once, alone: what else was
    /// in the browser may have killed it.
    pub(crate) async fn browser_died_opening(
        &mut self,
        id: &ItemId,
        placement: Placement,
        error: &StepError,
    ) -> Result<(), BotExit> {
        if is_shared(placement) {
            self.line_up(id, Ruling::IsolateFirst);
        } else {
            self.fail(id, Reason::PageCrashed, &error.to_string()).await;
        }
        self.abandon_browser(error).await
    }

    /// Too many item failures in a row are the browser's fault, whatever they say.
    pub(crate) async fn strike_item_failure(&mut self, error: &StepError) -> Result<(), BotExit> {
        if self.item_failures.strike(Instant::now()) == Verdict::Keep {
            return Ok(());
        }
        self.item_failures.pardon();
        self.abandon_browser(error).await
    }

    /// Builds a browser. One that cannot be built for the site's reason is tried again as the breaker allows,
    /// and held items are kept meanwhile; any other failure is a strike against the bot.
    pub(crate) async fn build_browser(&mut self) -> Result<(), BotExit> {
        let now = Instant::now();
        if !self.breaker.try_pass(now) {
            self.health.not_before = now + self.breaker.wait(now).max(Duration::from_millis(100));
            return Ok(());
        }
        let built = match self.spare.take() {
            Some(spare) => BUILD.run("build browser", spare.made()).await,
            None => BUILD.run("build browser", self.parts.factory.bot_browser(self.config.slot)).await,
        };
        let error = match built {
            Ok(Ok(browser)) => {
                let took = now.elapsed().as_secs_f64();
                tracing::info!(slot = self.config.slot, held = self.holds.len(), took, "a browser is ready");
                self.browser_built(browser);
                return Ok(());
            }
            Ok(Err(error)) => error,
            Err(expired) => {
                StepError::new(scrapefleet_browser::Step::Launch, Fault::CannotStart, &expired.to_string())
            }
        };
        let goes_on = self.browser_not_built(&error);
        if goes_on.is_err() {
            self.write_post_mortem(&error, true).await;
        }
        goes_on
    }

    fn browser_built(&mut self, mut browser: Box<dyn scrapefleet_browser::SiteBrowser>) {
        let now = Instant::now();
        let slow = self.parts.metrics.slow_steps.clone();
        browser.on_slow(Box::new(move |step| slow.with_label_values(&[format!("{step:?}")]).inc()));
        self.breaker.success(now);
        self.outage.end();
        self.browser = Some(browser);
        self.state = BotState::Working;
        self.health.answered = now;
        self.health.next_probe = now;
        self.health.page_connected = true;
    }

    fn browser_not_built(&mut self, error: &StepError) -> Result<(), BotExit> {
        self.count_failure(error);
        self.last_reason = Some(error.to_string());
        let now = Instant::now();
        if error.layer() == Layer::Site {
            tracing::warn!(slot = self.config.slot, %error, "the site is unavailable");
            self.state = BotState::SiteUnavailable;
            self.breaker.failure(now);
            self.outage.fail(Failed::Page, now);
        } else {
            tracing::warn!(slot = self.config.slot, %error, "no browser");
            if self.rebuilds.strike(now) == Verdict::Abandon {
                return Err(BotExit::BrowserNotRebuilt);
            }
        }
        self.health.not_before = now + REBUILD.delay(self.rebuilds.count(now).max(1), self.rng.f64());
        Ok(())
    }
}
