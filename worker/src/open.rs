//! Opening items, and leaving those that are done.

use scrapefleet_api::ItemId;
use scrapefleet_browser::{Fault, Layer, Placement, StepError};
use scrapefleet_policy::{BreakerState, within};
use scrapefleet_queue::{Failure, Reason};
use tokio::time::{Duration, Instant};

use crate::{
    bot::Bot,
    exit::BotExit,
    hold::{Hold, Stage},
    outage::Failed,
    owner::stranger,
    status::BotState,
    storing::Ending,
};

/// How long the store is asked whether an artifact is there already. Without an answer the item is opened:
/// storing is what decides in the end.
const KNOWN: Duration = Duration::from_secs(2);

impl Bot {
    /// Opens the next item in line.
    pub(crate) async fn open_next(&mut self) -> Result<(), BotExit> {
        let Some(id) = self.line.pop_front() else { return Ok(()) };
        let Some(hold) = self.holds.get(&id).filter(|hold| hold.stage == Stage::Waiting) else {
            return Ok(());
        };
        if let Some(ending) = self.needs_no_opening(hold).await {
            self.begin_end(&id, ending);
            return Ok(());
        }
        if !self.breaker.try_pass(Instant::now()) {
            self.line.push_front(id);
            return Ok(());
        }
        let Some((placement, opened)) = self.open(&id).await else { return Ok(()) };
        match opened {
            Ok(()) => {
                self.opened(&id);
                Ok(())
            }
            Err(error) => self.open_failed(&id, placement, error).await,
        }
    }

    /// Has the browser open an item that is held, in whatever way it is to be opened.
    pub(crate) async fn open(&mut self, id: &ItemId) -> Option<(Placement, Result<(), StepError>)> {
        let (browser, hold) = (self.browser.as_mut()?, self.holds.get(id)?);
        let maker = (&self.parts.factory, self.config.slot);
        let doubt = browser.doubt();
        let opening = browser.open(&hold.item, hold.placement);
        Some((hold.placement, self.spare.beside(doubt, maker, opening).await))
    }

    /// How a hold ends without being opened, if it does.
    fn needs_no_opening(&self, hold: &Hold) -> impl Future<Output = Option<Ending>> + use<> {
        let deadline = hold.task().and_then(|task| task.deadline);
        let too_late =
            deadline.is_some_and(|deadline| deadline < self.parts.clock.now()).then(|| Ending::Dead {
                failure: self.failure(Reason::TooLate, "its deadline passed before it was opened"),
                evidence: Vec::new(),
            });
        let (fleet, item) = (self.config.fleet.clone(), hold.item.id.clone());
        let key = self.config.artifacts.key.key(&fleet, &item, &hold.groups);
        let store = self.parts.store.clone();
        let displaced = self.failure(Reason::StoreFailed, "");
        async move {
            if too_late.is_some() {
                return too_late;
            }
            let known = within(KNOWN, "look for artifact", store.exists(&key)).await;
            if !matches!(known, Ok(Ok(true))) {
                return None;
            }
            match within(KNOWN, "look whose artifact", stranger(store.as_ref(), &key, &fleet, &item)).await {
                Ok(Ok(None)) => Some(Ending::Known),
                Ok(Ok(Some(message))) => {
                    Some(Ending::Dead { failure: Failure { message, ..displaced }, evidence: Vec::new() })
                }
                // It is opened, and its put finds out.
                Ok(Err(_)) | Err(_) => None,
            }
        }
    }

    pub(crate) fn opened(&mut self, id: &ItemId) {
        let now = Instant::now();
        self.health.answered = now;
        self.health.opened += 1;
        self.breaker.success(now);
        self.outage.end();
        self.item_failures.pardon();
        self.state = BotState::Working;
        if let Some(hold) = self.holds.get_mut(id) {
            hold.stage = Stage::Open;
            hold.moved = now;
            hold.opened = Some(now);
        }
        // What has just been opened may have ended long ago: it is looked at soon.
        self.health.next_probe = self.health.next_probe.min(now + self.config.probe / 3);
    }

    pub(crate) async fn open_failed(
        &mut self,
        id: &ItemId,
        placement: Placement,
        error: StepError,
    ) -> Result<(), BotExit> {
        self.count_failure(&error);
        tracing::info!(item = %id, %error, "not opened");
        match error.layer() {
            Layer::Site => self.site_failed_at(id, &error).await,
            Layer::Browser => return self.browser_died_opening(id, placement, &error).await,
            Layer::Item => {
                if error.fault == Fault::Forbidden {
                    self.give_up(id, Reason::Forbidden, &error.to_string()).await;
                } else if placement == Placement::Ordinary && self.config.open_in_tab {
                    self.open_alone(id);
                } else {
                    let reason = if crashed(&error) { Reason::PageCrashed } else { Reason::OpenFailed };
                    self.fail(id, reason, &error.to_string()).await;
                    return self.strike_item_failure(&error).await;
                }
            }
        }
        Ok(())
    }

    /// Puts an item first in line to be opened in a tab of its own. That is a step for itself and no second half of the
    /// first: what else is held is looked at in between, and politeness may let the load of a page wait.
    pub(crate) fn open_alone(&mut self, id: &ItemId) {
        if let Some(hold) = self.holds.get_mut(id) {
            hold.placement = Placement::Alone;
            hold.stage = Stage::Waiting;
            self.line.push_front(id.clone());
        }
    }

    /// A failure for the site's reason costs an item an attempt only while the breaker is closed, and never its
    /// last one otherwise: an outage makes no dead letters.
    async fn site_failed_at(&mut self, id: &ItemId, error: &StepError) {
        let now = Instant::now();
        self.breaker.failure(now);
        self.last_reason = Some(error.to_string());
        if self.breaker.state(now) == BreakerState::Closed {
            self.fail(id, Reason::OpenFailed, &error.to_string()).await;
        } else {
            self.state = BotState::SiteUnavailable;
            self.outage.fail(Failed::Item, now);
            self.parts.metrics.abandoned.with_label_values(&["item", "site"]).inc();
            self.begin_end(id, Ending::Released);
        }
    }

    /// Frees the place of an item that is done.
    pub(crate) async fn leave_next(&mut self) -> Result<(), BotExit> {
        let Some(id) = self.leaving.pop_front() else { return Ok(()) };
        let Some(browser) = self.browser.as_mut() else { return Ok(()) };
        match browser.leave(&id).await {
            Ok(()) => {
                self.health.answered = Instant::now();
                Ok(())
            }
            Err(error) if error.layer() == Layer::Browser => self.abandon_browser(&error).await,
            Err(error) => {
                self.count_failure(&error);
                tracing::warn!(item = %id, %error, "not left");
                self.strike_item_failure(&error).await
            }
        }
    }

    pub(crate) fn count_failure(&mut self, error: &StepError) {
        let labels = [format!("{:?}", error.step), format!("{:?}", error.fault)];
        self.parts.metrics.failures.with_label_values(&[&labels[0], &labels[1]]).inc();
    }
}

/// Whether the item's own page died or stopped answering.
pub(crate) fn crashed(error: &StepError) -> bool {
    matches!(error.fault, Fault::PageCrashed | Fault::TabClosed | Fault::Timeout)
}
