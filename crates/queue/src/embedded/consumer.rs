//! A consumer: takes from the shelf, reads from the file.

use std::{pin::pin, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use redb::{Error, ReadTransaction};

use super::{
    Inner, blocking,
    change::Move,
    claim::{EmbeddedClaim, Hold},
    tables::TASKS,
};
use crate::{Claim, Consumer, QueueError, message, waiting};

/// A consumer by its number on the shelf.
#[derive(Debug)]
pub(super) struct EmbeddedConsumer {
    inner: Arc<Inner>,
    number: u64,
}

impl EmbeddedConsumer {
    pub(super) fn new(inner: Arc<Inner>, number: u64) -> Self {
        Self { inner, number }
    }
}

#[async_trait]
impl Consumer for EmbeddedConsumer {
    async fn next(&mut self) -> Result<Box<dyn Claim>, QueueError> {
        loop {
            let mut changed = pin!(self.inner.desk.changed.notified());
            changed.as_mut().enable();
            let taken = self.inner.shelf().take(self.number)?;
            if let Some(taken) = taken {
                let hold = Hold::new(Arc::clone(&self.inner), taken);
                if let Some(claim) = open(hold).await? {
                    return Ok(Box::new(claim));
                }
                continue;
            }
            let due = self.inner.shelf().next_due().and_then(|due| Timestamp::from_millisecond(due).ok());
            waiting::changed_or_due(changed, due, self.inner.now()).await;
        }
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        self.inner.desk.shelf().disconnect(self.number);
        self.inner.desk.changed.notify_waiters();
    }
}

/// Makes a claim of a hold. None: the task can never be done and is a dead letter now.
pub(super) async fn open(mut hold: Hold) -> Result<Option<EmbeddedClaim>, QueueError> {
    let (inner, key) = (Arc::clone(hold.inner()), hold.taken().key);
    let row = blocking(move || inner.desk.file.read(|txn| message_of(txn, key))).await?;
    let inner = Arc::clone(hold.inner());
    let Some(message) = row else {
        // It was finished by a write that was reported as failed, and the shelf has not heard of it yet.
        inner.desk.shelf().apply(Move::Gone { key });
        return Ok(None);
    };
    let deliveries = hold.taken().deliveries;
    let failure = match message::read(&message) {
        Err(unreadable) => message::unreadable(unreadable.problem, inner.now()),
        Ok(_) if deliveries >= inner.options.max_deliveries => message::holder_died(deliveries, inner.now()),
        Ok(task) => {
            inner.desk.shelf().delivered(key);
            inner.desk.mailbox.mark();
            return Ok(Some(EmbeddedClaim { hold, task }));
        }
    };
    tracing::warn!(key, reason = ?failure.reason, message = failure.message, "a task is given up");
    hold.bury(&message, failure).await.map(|()| None)
}

fn message_of(txn: &ReadTransaction, key: u64) -> Result<Option<Vec<u8>>, Error> {
    Ok(txn.open_table(TASKS)?.get(key)?.map(|row| row.value().2.to_vec()))
}
