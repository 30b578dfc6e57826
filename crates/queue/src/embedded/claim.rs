//! A hold on a task, from the moment it is taken from the shelf to its end on disk.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{
    Inner,
    change::{Answer, Change, How},
    shelf::{Begin, Taken},
};
use crate::{Claim, Failure, QueueError, Task, message, waiting};

/// A task that was taken. Dropped before its end, it is given back.
#[derive(Debug)]
pub(super) struct Hold {
    inner: Arc<Inner>,
    taken: Taken,
    ended: bool,
    /// The end that is being written, if its caller went away before the answer came.
    under_way: Option<(End, oneshot::Receiver<Answer>)>,
}

/// The ends a hold can have, to tell whether a second call asks for the same as the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Ack,
    Release,
    Retry,
    Dead,
}

impl Hold {
    pub(super) fn new(inner: Arc<Inner>, taken: Taken) -> Self {
        Self { inner, taken, ended: false, under_way: None }
    }

    pub(super) fn taken(&self) -> &Taken {
        &self.taken
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Gives the task up, with why.
    pub(super) async fn bury(&mut self, message: &[u8], failure: Failure) -> Result<(), QueueError> {
        let letter = message::letter(message, failure);
        let failure = serde_json::to_vec(&letter.failure)
            .map_err(|e| QueueError::Refused(format!("the failure cannot be written as JSON: {e}")))?;
        self.finish(How::Dead { item: letter.item, failure }).await
    }

    /// Ends the hold; when this fails the task is still held. A caller who goes away while the end is being written
    /// does not stop it: the next call hears how it went.
    pub(super) async fn finish(&mut self, how: How) -> Result<(), QueueError> {
        let end = End::of(&how);
        if self.heard_of_end(end).await? {
            return Ok(());
        }
        let Taken { key, ticket, .. } = self.taken;
        let room = self.inner.room(how.bytes()).await?;
        if self.inner.desk.shelf().begin_finish(key, ticket)? == Begin::Ended {
            self.ended = true;
            return Ok(());
        }
        let answer = self.inner.desk.mailbox.post(room, Change::Finish { key, ticket, how });
        self.under_way = Some((end, answer));
        if self.heard_of_end(end).await? { Ok(()) } else { Err(QueueError::Closed) }
    }

    /// Waits for the end that is being written, if there is one. True: it is written, and is the one that was asked for.
    async fn heard_of_end(&mut self, wanted: End) -> Result<bool, QueueError> {
        if self.ended {
            return Err(QueueError::Refused("the claim was finished already".to_owned()));
        }
        let Some((end, answer)) = &mut self.under_way else { return Ok(false) };
        let (end, answer) = (*end, answer.await.unwrap_or(Err(QueueError::Closed)));
        self.under_way = None;
        answer?;
        self.ended = true;
        if end == wanted {
            return Ok(true);
        }
        Err(QueueError::Refused("the claim was finished in another way already".to_owned()))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.ended {
            self.inner.desk.shelf().leave(self.taken.key, self.taken.ticket);
            self.inner.desk.changed.notify_waiters();
        }
    }
}

impl End {
    fn of(how: &How) -> Self {
        match how {
            How::Ack => Self::Ack,
            How::Release => Self::Release,
            How::Retry { .. } => Self::Retry,
            How::Dead { .. } => Self::Dead,
        }
    }
}

/// A hold on a task that could be read.
#[derive(Debug)]
pub(super) struct EmbeddedClaim {
    pub(super) hold: Hold,
    pub(super) task: Task,
}

#[async_trait]
impl Claim for EmbeddedClaim {
    fn task(&self) -> &Task {
        &self.task
    }

    async fn ack(&mut self) -> Result<(), QueueError> {
        self.hold.finish(How::Ack).await
    }

    async fn release(&mut self) -> Result<(), QueueError> {
        self.hold.finish(How::Release).await
    }

    async fn retry(&mut self, delay: Duration, failure: Failure) -> Result<(), QueueError> {
        let due = waiting::after(self.hold.inner.now(), delay).as_millisecond();
        let message = message::write_again(&message::next_attempt(&self.task, failure));
        self.hold.finish(How::Retry { due, message }).await
    }

    async fn dead(&mut self, failure: Failure) -> Result<(), QueueError> {
        let message = message::write_again(&self.task);
        self.hold.bury(&message, message::bounded(failure)).await
    }
}
