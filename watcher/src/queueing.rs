//! The half of a watcher that talks to the queue: it takes the lock that makes a watcher the active one, and queues
//! what was seen.

use std::{convert::Infallible, sync::Arc, time::Duration};

use scrapefleet_policy::{Backoff, Instant, Jitter, within};
use scrapefleet_queue::{LockGuard, QueueError};

use crate::{desk::Desk, status::Active};

/// The name of the lock that decides which watcher is the active one.
const LOCK: &str = "watcher";

/// How long one call of the queue may take.
const CALL: Duration = Duration::from_secs(5);

/// How often the lock is looked after: a standby takes over this long after the lock is free, at most.
const LOCK_EVERY: Duration = Duration::from_millis(500);

/// How long a watcher that gave the lock back leaves it to others: whoever stands by asks twice meanwhile.
const OTHERS_FIRST: Duration = LOCK_EVERY.saturating_mul(2);

/// The wait before a publish is tried again.
const AGAIN: Backoff = Backoff::from(Duration::from_millis(200)).to(Duration::from_secs(5));

/// Talks to the queue.
pub(crate) struct Queueing {
    desk: Arc<Desk>,
    lock: Option<Box<dyn LockGuard>>,
    /// When the lock was given back, if it was and has not been asked for since.
    gave_back: Option<Instant>,
    /// Calls that failed since one succeeded.
    failures: u32,
    jitter: Jitter,
}

impl Queueing {
    pub(crate) fn new(desk: Arc<Desk>, jitter: Jitter) -> Self {
        Self { desk, lock: None, gave_back: None, failures: 0, jitter }
    }

    /// Minds the lock and queues what was seen, until it is dropped. A publish that failed is tried again in a later turn and not
    /// in a loop of its own: meanwhile the lock may be lost, and more may be seen.
    pub(crate) async fn run(&mut self) -> Infallible {
        loop {
            self.mind_lock().await;
            if self.desk.batch().is_empty() {
                tokio::select! {
                    () = self.desk.bell.notified() => {}
                    () = tokio::time::sleep(LOCK_EVERY) => {}
                }
            } else if self.publish().await.is_err() {
                tokio::time::sleep(AGAIN.delay(self.failures, self.jitter.draw())).await;
            }
        }
    }

    /// Queues what waits, as long as the queue takes it, and gives the lock back.
    pub(crate) async fn end(&mut self) {
        while !self.desk.batch().is_empty() {
            if self.publish().await.is_err() {
                let left = self.desk.update(|state| state.outbox.waiting());
                tracing::warn!(
                    left,
                    "ends with items that could not be queued; the next watcher finds those still listed"
                );
                break;
            }
        }
        self.lock = None;
    }

    /// Takes the lock when it is free; notices when it is lost; gives it back when another sees more.
    async fn mind_lock(&mut self) {
        if self.lock.as_ref().is_some_and(|lock| lock.held()) {
            if self.desk.config.spec.standby && self.desk.is_blind() {
                self.give_back();
            }
            return;
        }
        if self.lock.take().is_some() {
            tracing::warn!("the lock of the active watcher was lost");
            self.desk.update(|state| state.active = Active::NotKnown);
        }
        if self.leaves_it_to_others() {
            return;
        }
        match self.call("take the watcher's lock", self.desk.means.queue.try_lock(LOCK)).await {
            Ok(Some(lock)) => {
                self.lock = Some(lock);
                self.desk.take_over(self.gave_back.take().is_some());
            }
            Ok(None) => {
                self.gave_back = None;
                self.desk.update(|state| {
                    state.active = Active::Another;
                    state.queue_answers = true;
                });
            }
            Err(why) => self.unreachable(why),
        }
    }

    /// Gives the lock back, once for each time that the browser hangs or dies: it is not asked for before the list answers.
    fn give_back(&mut self) {
        tracing::warn!("this watcher sees nothing, and leaves the watching to another");
        self.lock = None;
        self.gave_back = Some(Instant::now());
        // Until it is known that another has it, nothing that is seen may be forgotten.
        self.desk.update(|state| state.active = Active::NotKnown);
    }

    /// Whether the lock was given back, and is not to be asked for yet.
    fn leaves_it_to_others(&self) -> bool {
        self.gave_back.is_some_and(|at| self.desk.is_blind() || at.elapsed() < OTHERS_FIRST)
    }

    /// Queues the next batch. It is forgotten only once the queue has confirmed it.
    async fn publish(&mut self) -> Result<(), ()> {
        let batch = self.desk.batch();
        let count = batch.len();
        match self.call("publish", self.desk.means.queue.publish(batch)).await {
            Ok(published) => {
                self.failures = 0;
                self.desk.confirm(count, published);
                Ok(())
            }
            Err(why) => {
                tracing::warn!(why, count, "not queued; kept and tried again");
                self.desk.means.metrics.publish_failures.inc();
                self.failures = self.failures.saturating_add(1);
                self.unreachable(why);
                Err(())
            }
        }
    }

    async fn call<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, String> {
        match within(CALL, name, call).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(expired) => Err(expired.to_string()),
        }
    }

    fn unreachable(&self, why: String) {
        self.desk.update(|state| {
            state.queue_answers = false;
            state.status.last_reason = Some(why);
        });
    }
}
