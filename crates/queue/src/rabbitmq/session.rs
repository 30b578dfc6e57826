//! What one consumer holds over one connection, and how holds end.
//!
//! A session has a channel of its own and an exclusive queue that nobody uses: while that is there the session lives, and
//! what the journal says it holds is held.
//!
//! Every way back to a queue counts as a death of the holder in `RabbitMQ` 4.0: `basic.nack`, `basic.reject`, the end of a
//! channel and the end of a connection alike (measured on 4.0.5). So a task that is released goes back as a new message
//! and the old one is acked, which counts nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lapin::{
    Acker, Channel,
    message::Delivery,
    options::{BasicAckOptions, BasicNackOptions, QueueDeclareOptions},
    types::FieldTable,
};
use scrapefleet_api::{ItemId, LaneName};
use tokio::runtime::Handle;

use super::{
    delay, letter,
    link::{Letter, Link},
    names::Kind,
};
use crate::{Failure, Now, QueueError, Task, message, waiting};

/// One consumer's time on one connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) link: Arc<Link>,
    pub(super) channel: Channel,
    id: String,
    /// Whether its claims are still good.
    open: AtomicBool,
    /// Whether its channel is, which outlives them: what nobody took is given back after the consumer has gone.
    working: AtomicBool,
    runtime: Handle,
}

/// How a hold ends.
#[derive(Debug)]
pub(super) enum End {
    Ack,
    Release,
    Retry { delay: Duration, next: Box<Task> },
    Dead(Failure),
}

/// A message that is held. Dropped before its end it is given back, as by a holder that died.
#[derive(Debug)]
pub(super) struct Hold {
    session: Arc<Session>,
    lane: LaneName,
    item: Option<ItemId>,
    body: Vec<u8>,
    acker: Acker,
    ended: AtomicBool,
    /// Told when the hold has ended, however.
    over: tokio::sync::mpsc::UnboundedSender<LaneName>,
}

impl Session {
    /// Opens a session on a connection.
    pub(super) async fn open(link: Arc<Link>) -> Result<Arc<Self>, QueueError> {
        let channel = link.channel().await?;
        let id = link.unique();
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let name = link.names.session(&id);
        let declare = channel.queue_declare(name.into(), exclusive, FieldTable::default());
        link.call("open a session", declare).await?;
        let (open, working) = (AtomicBool::new(true), AtomicBool::new(true));
        Ok(Arc::new(Self { link, channel, id, open, working, runtime: Handle::current() }))
    }

    /// Whether what it holds is still its own.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) && self.link.alive()
    }

    /// Makes its claims void.
    pub(super) fn forsake(&self) {
        self.open.store(false, Ordering::Release);
    }

    /// Whether its channel can be used.
    fn is_working(&self) -> bool {
        self.working.load(Ordering::Acquire) && self.link.alive()
    }

    /// Ends it: what it still holds goes back, and its claims are void from now on.
    pub(super) async fn close(&self) {
        self.forsake();
        self.working.store(false, Ordering::Release);
        if !self.link.alive() {
            return;
        }
        let name = self.link.names.session(&self.id);
        let delete = self.channel.queue_delete(name.into(), lapin::options::QueueDeleteOptions::default());
        // When it cannot be deleted the connection has failed, and the queue goes with it.
        let _ = self.link.attempt("close a session", delete).await;
        self.link.leave(&self.channel).await;
    }

    /// Publishes one message and waits until the broker has it for good.
    pub(super) async fn publish(&self, letter: Letter) -> Result<(), QueueError> {
        let letters = [letter];
        let sent = self.link.send(&self.channel, &letters).await;
        let confirmed = sent.inspect_err(|why| self.fail(why))?;
        self.link.check(&letters, confirmed)
    }

    /// One call on its channel. That fails when the session was closed meanwhile, and only otherwise is it a failure of the
    /// connection.
    async fn call<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, QueueError> {
        self.link.attempt(what, call).await.inspect_err(|why| self.fail(why))
    }

    fn fail(&self, why: &QueueError) {
        if self.working.load(Ordering::Acquire) {
            self.link.fail(why);
        }
    }

    /// Acks, and waits until what was sent before on this channel was dealt with: an ack has no answer of its own, so a
    /// message whose answer comes later is sent behind it, into a quorum queue, whose answer comes after its disk's.
    pub(super) async fn ack(&self, acker: &Acker) -> Result<(), QueueError> {
        if !self.call("ack", acker.ack(BasicAckOptions::default())).await? {
            return Err(QueueError::Closed);
        }
        self.round_trip().await
    }

    pub(super) async fn round_trip(&self) -> Result<(), QueueError> {
        self.publish(Letter::nothing()).await
    }
}

impl Hold {
    /// Takes a delivery into hold. `over` is told its lane when the hold ends.
    pub(super) fn of(
        session: Arc<Session>,
        lane: LaneName,
        delivery: Delivery,
        over: tokio::sync::mpsc::UnboundedSender<LaneName>,
    ) -> Self {
        let item = delivery.properties.message_id().as_ref().and_then(|id| ItemId::new(id.as_str()).ok());
        let Delivery { data: body, acker, .. } = delivery;
        Self { session, lane, item, body, acker, ended: AtomicBool::new(false), over }
    }

    /// The task, if the message is one. What is none is given up on the way, and the answer is none.
    pub(super) async fn read(&mut self, now: &Now) -> Result<Option<Task>, QueueError> {
        match message::read(&self.body) {
            Ok(task) => {
                self.item = Some(task.id.clone());
                let held = letter::about(Kind::Held, &self.lane, self.item.as_ref(), self.body.clone());
                self.session.publish(letter::of_session(held, &self.session.id)).await?;
                Ok(Some(task))
            }
            Err(unreadable) => {
                self.item = unreadable.item;
                self.end(End::Dead(message::unreadable(unreadable.problem, now())), now).await?;
                Ok(None)
            }
        }
    }

    /// Whether it can still be ended.
    pub(super) fn is_open(&self) -> bool {
        self.session.is_open()
    }

    /// The connection that it is on.
    pub(super) fn link(&self) -> &Link {
        &self.session.link
    }

    /// Where to run what must not stop half-way.
    pub(super) fn runtime(&self) -> &Handle {
        &self.session.runtime
    }

    /// Ends the hold. What comes after it is confirmed before the message is acked: a death between the two makes two
    /// messages of one, and never none.
    pub(super) async fn end(&self, end: End, now: &Now) -> Result<(), QueueError> {
        if !self.session.is_working() {
            return Err(QueueError::Closed);
        }
        let next = self.next(end, now)?;
        self.session.publish(next).await.map_err(|error| self.closed_or(error))?;
        self.session.ack(&self.acker).await.map_err(|error| self.closed_or(error))?;
        self.ended.store(true, Ordering::Release);
        self.tell();
        Ok(())
    }

    /// Tells that there is room for another.
    fn tell(&self) {
        // Nobody to tell when the consumer is gone.
        let _ = self.over.send(self.lane.clone());
    }

    /// An error of a session that ended meanwhile is that it did: the task comes back, to whoever takes it.
    fn closed_or(&self, error: QueueError) -> QueueError {
        if self.session.is_working() { error } else { QueueError::Closed }
    }

    fn next(&self, end: End, now: &Now) -> Result<Letter, QueueError> {
        let (lane, item) = (&self.lane, self.item.as_ref());
        Ok(match end {
            End::Ack => letter::about(Kind::Done, lane, item, Vec::new()),
            End::Release => letter::about(Kind::Ready, lane, item, self.body.clone()),
            End::Dead(failure) => letter::given_up(lane, item, self.body.clone(), &failure),
            End::Retry { delay, next } => {
                let (key, until) = (delay::key(delay, lane)?, waiting::after(now(), delay));
                letter::delayed(key, &next.id, message::write_again(&next), until)
            }
        })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.ended.load(Ordering::Acquire) || !self.is_open() {
            return; // what a session holds at its end goes back with it
        }
        let (lane, over) = (self.lane.clone(), self.over.clone());
        let (session, acker) = (Arc::clone(&self.session), self.acker.clone());
        let back = letter::about(Kind::Back, &lane, self.item.as_ref(), Vec::new());
        let back = letter::of_session(back, &session.id);
        self.session.runtime.spawn(async move {
            // When either fails the connection has failed, and the broker takes the task back by itself.
            let requeue = BasicNackOptions { requeue: true, multiple: false };
            let _ = session.call("give back", acker.nack(requeue)).await;
            let _ = session.publish(back).await;
            // Nobody to tell when the consumer is gone.
            let _ = over.send(lane);
        });
    }
}
