//! When a bot ends, and how it gives back what it has.

use scrapefleet_api::fleet::DrainMode;
use scrapefleet_policy::within;
use scrapefleet_queue::QueueError;
use tokio::time::{Duration, Instant};

use crate::{bot::Bot, exit::BotExit, hold::Stage, outage::PATIENCE, settling::release, status::BotState};

/// How long the end of its browsers is waited for when the bot ends.
const CLOSED: Duration = Duration::from_secs(10);

/// How long a draining bot waits for ends that are being carried out.
const ENDS_CARRIED_OUT: Duration = Duration::from_secs(20);

impl Bot {
    pub(crate) fn drained(&mut self, by: Instant) -> bool {
        self.state = BotState::Draining;
        let over = self.config.drain.mode == DrainMode::Release || Instant::now() >= by;
        over || self.holds.is_empty()
    }

    /// Why it ends to make room for another, if it does: it is old enough, or has seen nothing of the site for long.
    pub(crate) fn makes_room(&mut self) -> Option<BotExit> {
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

    pub(crate) fn queue_lost(&mut self, error: &QueueError) -> BotExit {
        tracing::error!(slot = self.config.slot, %error, "the bot ends because its queue is lost");
        self.last_reason = Some(error.to_string());
        BotExit::QueueUnreachable
    }

    /// Gives back what is held and ends the browser.
    pub(crate) async fn end(&mut self, exit: BotExit) {
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
            let Some(claims) = hold.claims else { continue };
            self.count_outcome("released", |t| t.released += 1);
            if let Err(error) = release(claims).await {
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
}
