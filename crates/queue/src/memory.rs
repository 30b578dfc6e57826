//! The fake: a queue in memory for tests of those who use one. Plain lists, searched from the front, under one lock.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use scrapefleet_api::{ItemId, LaneName};

use crate::{
    Claim, Consumer, ConsumerOptions, DeadLetter, Depth, Failure, JournalEntry, LockGuard, Now, Published,
    QueueError, Task, TaskQueue, TaskState, message, waiting,
};

mod broker;

use broker::{Broker, Finish};

/// A queue in memory. Clones are handles to the same queue; nothing outlives the last of them.
#[derive(Debug, Clone)]
pub struct Memory {
    broker: Arc<Broker>,
}

impl Memory {
    /// An empty queue that reads the time from `now` and gives a task up after `max_deliveries` deaths of its holder.
    #[must_use]
    pub fn new(now: Now, max_deliveries: u32) -> Self {
        Self { broker: Arc::new(Broker::new(now, max_deliveries)) }
    }

    /// What the death of every process that uses the queue does to it: each held task is ready again, each
    /// consumer, claim and lock of before is void.
    pub fn crash(&self) {
        self.broker.crash();
    }

    /// Puts `message` into `lane` as it is, as a program of another version might have.
    pub fn publish_raw(&self, lane: &LaneName, message: &[u8]) {
        self.broker.put(lane, message);
    }
}

#[async_trait]
impl TaskQueue for Memory {
    async fn publish(&self, tasks: Vec<Task>) -> Result<Published, QueueError> {
        self.broker.publish(&tasks)
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>, QueueError> {
        let number = self.broker.connect(&options)?;
        Ok(Box::new(MemoryConsumer { broker: Arc::clone(&self.broker), number }))
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(self.broker.lane_depths().into_values().fold(Depth::default(), |sum, lane| sum + lane))
    }

    async fn lane_depths(&self) -> Result<BTreeMap<LaneName, Depth>, QueueError> {
        Ok(self.broker.lane_depths())
    }

    async fn journal(&self) -> Result<BoxStream<'static, Result<JournalEntry, QueueError>>, QueueError> {
        Ok(stream::iter(self.broker.journal()).map(Ok).boxed())
    }

    async fn pending(&self) -> Result<Vec<(Task, TaskState)>, QueueError> {
        Ok(self.broker.pending())
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, QueueError> {
        Ok(self.broker.dead_letters())
    }

    async fn replay(&self, item: &ItemId) -> Result<(), QueueError> {
        self.broker.replay(item)
    }

    async fn purge(&self, letters: &[DeadLetter]) -> Result<usize, QueueError> {
        Ok(self.broker.purge(letters))
    }

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn LockGuard>>, QueueError> {
        Ok(self.broker.lock(name).map(|held| Box::new(held) as Box<dyn LockGuard>))
    }
}

#[derive(Debug)]
struct MemoryConsumer {
    broker: Arc<Broker>,
    number: u64,
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Result<Box<dyn Claim>, QueueError> {
        loop {
            let mut changed = pin!(self.broker.changed.notified());
            changed.as_mut().enable();
            if let Some((ticket, task)) = self.broker.take(self.number)? {
                let broker = Arc::clone(&self.broker);
                return Ok(Box::new(MemoryClaim { broker, ticket, task, finished: false }));
            }
            let (due, now) = self.broker.next_due();
            waiting::changed_or_due(changed, due, now).await;
        }
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        self.broker.disconnect(self.number);
    }
}

#[derive(Debug)]
struct MemoryClaim {
    broker: Arc<Broker>,
    ticket: u64,
    task: Task,
    finished: bool,
}

impl MemoryClaim {
    fn finish(&mut self, how: Finish) -> Result<(), QueueError> {
        if self.finished {
            return Err(message::finished_already(&self.task.id));
        }
        self.broker.finish(self.ticket, how)?;
        self.finished = true;
        Ok(())
    }
}

#[async_trait]
impl Claim for MemoryClaim {
    fn task(&self) -> &Task {
        &self.task
    }

    async fn ack(&mut self) -> Result<(), QueueError> {
        self.finish(Finish::Ack)
    }

    async fn release(&mut self) -> Result<(), QueueError> {
        self.finish(Finish::Release)
    }

    async fn retry(&mut self, delay: Duration, failure: Failure) -> Result<(), QueueError> {
        let next = message::next_attempt(&self.task, failure);
        self.finish(Finish::Retry(delay, message::write_again(&next)))
    }

    async fn dead(&mut self, failure: Failure) -> Result<(), QueueError> {
        self.finish(Finish::Dead(message::bounded(failure)))
    }
}

impl Drop for MemoryClaim {
    fn drop(&mut self) {
        if !self.finished {
            self.broker.give_back(self.ticket);
        }
    }
}
