//! Taking tasks: how many at once, when, and the wait for them.

use scrapefleet_policy::Instant;
use scrapefleet_queue::{Claim, Consumer, ConsumerOptions, QueueError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{bot::Bot, claims::Claims, hold::Hold};

/// How many claimed items may wait to be opened: enough that opening never waits for the queue, few enough
/// that what this bot cannot open yet is left to others.
const LINE: usize = 3;

impl Bot {
    /// The most items that it may hold now.
    pub(crate) fn may_hold(&self) -> usize {
        let limit = self.limit.as_ref().map_or(usize::MAX, |limit| *limit.borrow());
        self.config.holds.min(limit.max(1))
    }

    /// Waits for a task, for an end that was carried out, or for the next step's time.
    pub(crate) async fn idle(
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
            tracing::debug!(item = %id, "claimed again; the claim waits for the end of the hold");
            hold.keep(claim, self.config.holds);
            return;
        }
        self.hold(Claims::of(claim));
    }

    /// Holds an item, and puts it in line to be opened.
    pub(crate) fn hold(&mut self, claims: Claims) {
        let id = claims.task().id.clone();
        let groups = (self.config.artifacts.groups)(&id);
        let hold = Hold::new(claims, groups, Instant::now(), self.parts.clock.now());
        self.holds.insert(id.clone(), hold);
        self.line.push_back(id);
    }

    pub(crate) fn consumer(&self) -> impl Future<Output = Result<Box<dyn Consumer>, QueueError>> + use<> {
        let name = format!("{}-bot-{}", self.config.fleet, self.config.slot);
        let options = ConsumerOptions { name, holds: self.config.holds, lanes: self.config.lanes.clone() };
        let queue = self.parts.queue.clone();
        async move { queue.consume(options).await }
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
