//! A task that was handed out.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::session::{End, Hold};
use crate::{Claim, Failure, Now, QueueError, Task, message};

/// A hold on a task that could be read. An end that was begun goes on when its caller goes away, or has waited in vain for
/// a broker that takes nothing; the next call hears how it went.
#[derive(Debug)]
pub(super) struct RabbitClaim {
    hold: Arc<Hold>,
    task: Task,
    now: HiddenNow,
    under_way: Option<(Way, JoinHandle<Result<(), QueueError>>)>,
    ended: bool,
}

/// A clock has nothing to show.
struct HiddenNow(Now);

impl std::fmt::Debug for HiddenNow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Now")
    }
}

/// The ends a hold can have, to tell whether a second call asks for the same as the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Ack,
    Release,
    Retry,
    Dead,
}

impl RabbitClaim {
    pub(super) fn new(hold: Hold, task: Task, now: Now) -> Self {
        Self { hold: Arc::new(hold), task, now: HiddenNow(now), under_way: None, ended: false }
    }

    /// Gives the task back as if it had never been handed out.
    pub(super) async fn return_unseen(self) {
        // When it fails the connection has failed, and the broker takes the task back by itself.
        let _ = self.hold.end(End::Release, &self.now.0).await;
    }

    pub(super) fn is_open(&self) -> bool {
        self.hold.is_open()
    }

    async fn finish(&mut self, way: Way, end: End) -> Result<(), QueueError> {
        if self.ended {
            return Err(message::finished_already(&self.task.id));
        }
        if self.under_way.is_some() {
            match self.heard().await? {
                before if before == way => return Ok(()),
                _ => return Err(message::finished_already(&self.task.id)),
            }
        }
        if !self.hold.is_open() {
            return Err(QueueError::Closed);
        }
        let (hold, now) = (Arc::clone(&self.hold), Arc::clone(&self.now.0));
        let ending = self.hold.runtime().spawn(async move { hold.end(end, &now).await });
        self.under_way = Some((way, ending));
        self.heard().await.map(drop)
    }

    /// Waits for the end that is under way.
    async fn heard(&mut self) -> Result<Way, QueueError> {
        let Some((way, ending)) = &mut self.under_way else { return Err(QueueError::Closed) };
        let way = *way;
        let heard = async { Ok(ending.await.unwrap_or(Err(QueueError::Closed))) };
        let outcome = self.hold.link().unless_stuck("end a hold", heard).await?;
        self.under_way = None;
        outcome?;
        self.ended = true;
        Ok(way)
    }
}

#[async_trait]
impl Claim for RabbitClaim {
    fn task(&self) -> &Task {
        &self.task
    }

    async fn ack(&mut self) -> Result<(), QueueError> {
        self.finish(Way::Ack, End::Ack).await
    }

    async fn release(&mut self) -> Result<(), QueueError> {
        self.finish(Way::Release, End::Release).await
    }

    async fn retry(&mut self, delay: Duration, failure: Failure) -> Result<(), QueueError> {
        let next = Box::new(message::next_attempt(&self.task, failure));
        self.finish(Way::Retry, End::Retry { delay, next }).await
    }

    async fn dead(&mut self, failure: Failure) -> Result<(), QueueError> {
        self.finish(Way::Dead, End::Dead(message::bounded(failure))).await
    }
}
