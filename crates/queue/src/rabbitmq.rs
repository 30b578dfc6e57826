//! The queue of a fleet on a `RabbitMQ` broker, 4.0 or later.
//!
//! # What is where
//! Each lane is a quorum queue, the journal is a stream, and one exchange leads to both, so that one confirmed publish
//! puts a task into its lane and into the journal. All messages about a task go through that exchange, also that it was
//! handed out, is done or was given up: the journal tells of every item where it is ([`TaskQueue::pending`]).
//! See the module `topology` for the picture.
//!
//! # What is promised, and how exactly
//! - A publish returns when a majority of the queue's nodes have every task on disk. It waits a while for a broker that is
//!   away and then says so; whoever publishes again makes doubles at worst.
//! - The end of a hold is first published, confirmed, and then the old message acked; a round trip behind the ack waits
//!   until the broker has dealt with it. When the connection dies between the two there are two messages of one task,
//!   never none. So an item may be opened twice, which harms nothing as long as storing is idempotent.
//! - [`TaskQueue::depth`] and [`TaskQueue::lane_depths`] ask the management API, whose counts are up to five seconds old.
//! - [`TaskQueue::pending`] is exact by item, as far back as the broker keeps the journal (20 GB). Messages that are no
//!   tasks are not among them; they are brought to the dead letters by who finds them.
//! - While the broker has an alarm about its memory or disk it takes nothing from who publishes. What is held stays held,
//!   no tasks are handed out, and publishes and ends of holds are [`QueueError::Unreachable`] after 15 seconds: they may be
//!   tried again, and an end that was begun goes on by itself.
//! - A published item is not looked up: [`Published::known`] is always 0, and an item published again is in the journal
//!   again.
//! - A hold is not taken away, unless a policy of the broker sets a `consumer-timeout`: the shorter of the two counts, and
//!   the management API does not tell it reliably. Nobody should set one for these queues.
//! - A task that came back unfinished [`MAX_DELIVERIES`] times is given up. Releasing counts nothing.
//! - Delays are rounded up to whole seconds; the longest is [`LONGEST_DELAY`].

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use scrapefleet_api::{ItemId, LaneName};

use crate::{
    Consumer, ConsumerOptions, DeadLetter, Depth, JournalEntry, LockGuard, Published, QueueError, Task,
    TaskQueue, TaskState, message,
};

mod claim;
mod consumer;
mod dead;
mod delay;
mod desk;
mod fault;
mod graph;
mod http;
mod journal;
mod ledger;
mod letter;
mod link;
mod lock;
mod management;
mod names;
mod options;
mod patience;
mod session;
mod taker;
mod topology;
mod trust;

use consumer::RabbitConsumer;
use graph::Graph;
use ledger::Ledger;
use link::{Letter, Link};
use management::Management;
use names::{Kind, Names};
use options::Address;

pub use delay::LONGEST_DELAY;
pub use options::{Options, Password};
pub use topology::MAX_DELIVERIES;

/// A fleet's queue on a broker. Clones use the same connection, which is made again whenever it fails.
#[derive(Clone)]
pub struct RabbitMq {
    inner: Arc<Inner>,
}

struct Inner {
    graph: Arc<Graph>,
    management: Management,
    /// What the journal has told so far.
    ledger: tokio::sync::Mutex<Ledger>,
}

impl fmt::Debug for RabbitMq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let graph = &self.inner.graph;
        f.debug_struct("RabbitMq")
            .field("broker", &graph.address)
            .field("scope", &graph.options.scope)
            .finish()
    }
}

/// Connects to a broker and makes the fleet's queues where they are not there yet.
///
/// # Errors
/// [`QueueError::Refused`] when the broker does not accept who we are, [`QueueError::Mismatch`] when it has queues of these
/// names that were made otherwise, [`QueueError::Unreachable`] when it cannot be reached.
pub async fn connect(options: Options) -> Result<RabbitMq, QueueError> {
    options::check(&options)?;
    let address = Address::of(&options)?;
    let management = Management::of(&options, &address)?;
    let longest_hold = options.longest_hold;
    let graph = Arc::new(Box::pin(Graph::connect(options, address)).await?);
    check_timeouts(&management, &graph.names, longest_hold).await?;
    let ledger = tokio::sync::Mutex::default();
    Ok(RabbitMq { inner: Arc::new(Inner { graph, management, ledger }) })
}

/// Refuses queues that were made for shorter holds: the broker itself does not compare this argument. Without it a task
/// would be taken away after half an hour, the broker's own default.
async fn check_timeouts(
    management: &Management,
    names: &Names,
    longest_hold: Duration,
) -> Result<(), QueueError> {
    let wanted = topology::consumer_timeout(longest_hold);
    let timeouts = match management.timeouts(names).await {
        Ok(timeouts) => timeouts,
        Err(why) => {
            tracing::warn!(error = %why, "whether the queues allow holds as long as these is not known");
            return Ok(());
        }
    };
    let Some((queue, found)) =
        timeouts.into_iter().find(|(_, found)| found.is_none_or(|found| found < wanted))
    else {
        return Ok(());
    };
    let found = found.map_or_else(|| "not set".to_owned(), |found| format!("{found} ms"));
    Err(QueueError::Mismatch(format!(
        "queue `{queue}` was made for shorter holds: its x-consumer-timeout is {found}, and at least {wanted} ms are \
         needed for holds of {longest_hold:?}. Delete the queue when it is empty, or hold for a shorter time"
    )))
}

/// Deletes everything of a fleet from its broker, also of lanes that are not among these any more: waiting tasks, dead
/// letters, journal. Nobody should use it any more; who does makes it anew.
pub async fn delete(options: &Options) -> Result<(), QueueError> {
    options::check(options)?;
    let address = Address::of(options)?;
    Management::of(options, &address)?.delete(&Names::new(options.scope.clone()), &options.lanes).await
}

impl RabbitMq {
    /// Closes the connection: held tasks go back, locks are free, and consumers and later calls, through any handle, answer
    /// [`QueueError::Closed`]. Without it the connection ends with the last handle, consumer and claim.
    pub async fn close(&self) -> Result<(), QueueError> {
        self.inner.graph.close().await;
        Ok(())
    }

    /// Puts `message` into `lane` as it is, as a program of another version might have.
    pub async fn publish_raw(&self, lane: &LaneName, message: &[u8]) -> Result<(), QueueError> {
        let letter = letter::about(Kind::New, lane, None, message.to_vec());
        self.link().await?.publish(&[letter]).await
    }

    async fn link(&self) -> Result<Arc<Link>, QueueError> {
        self.inner.graph.link().await
    }

    fn lanes(&self) -> &[LaneName] {
        &self.inner.graph.options.lanes
    }

    fn letters(&self, tasks: &[Task]) -> Result<Vec<Letter>, QueueError> {
        let letter = |task: &Task| {
            if !self.lanes().contains(&task.lane) {
                let scope = &self.inner.graph.options.scope;
                let why = format!("task `{}`: `{scope}` has no lane `{}`", task.id, task.lane);
                return Err(QueueError::Refused(why));
            }
            Ok(letter::discovered(task, message::write(task)?))
        };
        tasks.iter().map(letter).collect()
    }

    /// The ledger up to now.
    async fn ledger(&self) -> Result<tokio::sync::MutexGuard<'_, Ledger>, QueueError> {
        let mut ledger = self.inner.ledger.lock().await;
        let mut events = journal::read(self.link().await?, ledger.next).await?;
        while let Some(event) = events.recv().await {
            ledger.apply(event?);
        }
        Ok(ledger)
    }

    /// The ledger up to now, after what is no task was brought to the dead letters as far as it was found.
    async fn swept_ledger(&self) -> Result<tokio::sync::MutexGuard<'_, Ledger>, QueueError> {
        let odd = {
            let ledger = self.ledger().await?;
            let odd = ledger.odd_lanes();
            if odd.is_empty() {
                return Ok(ledger);
            }
            odd
        };
        for lane in odd {
            dead::sweep(&self.link().await?, &lane, &self.inner.graph.options.now).await?;
        }
        self.ledger().await
    }
}

#[async_trait]
impl TaskQueue for RabbitMq {
    async fn publish(&self, tasks: Vec<Task>) -> Result<Published, QueueError> {
        let letters = self.letters(&tasks)?;
        self.link().await?.publish(&letters).await?;
        Ok(Published { new: tasks.len(), known: 0 })
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>, QueueError> {
        let consumer = RabbitConsumer::start(Arc::clone(&self.inner.graph), options).await?;
        Ok(Box::new(consumer))
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.inner.graph.check_open()?;
        Ok(self.inner.management.totals(&self.inner.graph.names).await?.sum())
    }

    async fn lane_depths(&self) -> Result<BTreeMap<LaneName, Depth>, QueueError> {
        self.inner.graph.check_open()?;
        let totals = self.inner.management.totals(&self.inner.graph.names).await?;
        let mut lanes = totals.lanes;
        if totals.delayed > 0 {
            for (lane, delayed) in self.ledger().await?.delayed(self.inner.graph.now()) {
                lanes.entry(lane).or_default().delayed = delayed;
            }
        }
        Ok(lanes)
    }

    async fn journal(&self) -> Result<BoxStream<'static, Result<JournalEntry, QueueError>>, QueueError> {
        let events = journal::read(self.link().await?, 0).await?;
        let events = stream::unfold(events, async |mut events| Some((events.recv().await?, events)));
        let entries = events.filter_map(async |event| match event {
            Ok(event) if event.kind != Kind::New => None,
            Ok(event) => Some(match message::read(&event.body) {
                Ok(task) => Ok(JournalEntry::of(&task)),
                Err(unreadable) => {
                    let (offset, problem) = (event.offset, unreadable.problem);
                    Err(QueueError::Corrupt(format!("entry {offset} of the journal: {problem}")))
                }
            }),
            Err(error) => Some(Err(error)),
        });
        Ok(entries.boxed())
    }

    async fn pending(&self) -> Result<Vec<(Task, TaskState)>, QueueError> {
        let ledger = self.swept_ledger().await?;
        let sessions = self.inner.management.sessions(&self.inner.graph.names).await?;
        Ok(ledger.pending(&sessions, self.inner.graph.now()))
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, QueueError> {
        dead::all(&self.link().await?, self.lanes(), &self.inner.graph.options.now).await
    }

    async fn replay(&self, item: &ItemId) -> Result<(), QueueError> {
        dead::replay(&self.link().await?, self.lanes(), item, &self.inner.graph.options.now).await
    }

    async fn purge(&self, letters: &[DeadLetter]) -> Result<usize, QueueError> {
        dead::purge(&self.link().await?, self.lanes(), letters, &self.inner.graph.options.now).await
    }

    async fn try_lock(&self, name: &str) -> Result<Option<Box<dyn LockGuard>>, QueueError> {
        let lock = lock::take(&self.link().await?, name).await?;
        Ok(lock.map(|lock| Box::new(lock) as Box<dyn LockGuard>))
    }
}
