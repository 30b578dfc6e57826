//! Where a consumer and what works for it meet.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{claim::RabbitClaim, session::Session};
use crate::QueueError;

/// What is asked for and what is there.
#[derive(Debug, Default)]
pub(super) struct Desk {
    state: Mutex<DeskState>,
    /// The consumer waits, no longer waits, or is gone.
    pub(super) asked: Notify,
    /// There is a task, or an error.
    pub(super) answered: Notify,
}

#[derive(Debug, Default)]
pub(super) struct DeskState {
    /// At most as many as the consumer has lanes.
    pub(super) fetched: VecDeque<RabbitClaim>,
    refused: Option<QueueError>,
    /// There will be no more tasks.
    over: bool,
    pub(super) waiting: bool,
    pub(super) closed: bool,
    /// The session of the moment.
    session: Option<Arc<Session>>,
}

/// The time in which somebody waits for a task.
pub(super) struct Waiting<'a> {
    desk: &'a Desk,
}

impl<'a> Waiting<'a> {
    pub(super) fn at(desk: &'a Desk) -> Self {
        desk.state().waiting = true;
        desk.asked.notify_one();
        Self { desk }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.desk.state().waiting = false;
        self.desk.asked.notify_one();
    }
}

impl Desk {
    pub(super) fn state(&self) -> MutexGuard<'_, DeskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answer(&self) -> Option<Result<RabbitClaim, QueueError>> {
        let mut state = self.state();
        while let Some(claim) = state.fetched.pop_front() {
            if claim.is_open() {
                return Some(Ok(claim));
            }
        }
        let over = state.over.then_some(QueueError::Closed);
        over.or_else(|| state.refused.take()).map(Err)
    }

    pub(super) fn put(&self, claim: RabbitClaim) {
        self.state().fetched.push_back(claim);
        self.answered.notify_one();
    }

    pub(super) fn refuse(&self, why: QueueError) {
        self.state().refused = Some(why);
        self.answered.notify_one();
    }

    /// There will be no more tasks: the queue was closed.
    pub(super) fn end(&self) {
        self.state().over = true;
        self.answered.notify_one();
    }

    /// Begins a session, unless the consumer is gone.
    pub(super) fn begin(&self, session: &Arc<Session>) {
        let mut state = self.state();
        if state.closed {
            session.forsake();
        }
        state.session = Some(Arc::clone(session));
    }

    /// The consumer is gone, and its claims are void.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        if let Some(session) = &state.session {
            session.forsake();
        }
        drop(state);
        self.asked.notify_one();
    }

    pub(super) fn closed(&self) -> bool {
        self.state().closed
    }

    /// What was fetched and nobody took.
    pub(super) fn clear(&self) -> Vec<RabbitClaim> {
        self.state().fetched.drain(..).collect()
    }

    /// Waits until the consumer is gone.
    pub(super) async fn gone(&self) {
        while !self.closed() {
            self.asked.notified().await;
        }
    }
}
