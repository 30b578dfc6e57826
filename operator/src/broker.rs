//! Queue depths: what waits in the queues of all fleets, read from a broker in one call.
//!
//! A broker is asked at most once a second for each vhost and user, however many fleets share it; all who ask in that
//! second get the same answer. What could not be read is an error that says why, never 0.
//!
//! `scrapefleet_queue` counts one fleet's queues for the programs that use them. Here a fleet that is not counted must never
//! look empty, and thousands of queues are read each second, so the reading is another.
//!
//! The numbers are those of the broker's statistics. Measured with RabbitMQ 4.0.5:
//!
//! * A change of a quorum queue is seen after 0 to 5 seconds: the queue itself reports its numbers only every 5 seconds
//!   (`quorum_tick_interval`), so no other question to the management API is answered sooner.
//! * `disable_stats=true&enable_queue_totals=true` is as old for quorum queues (3.4 to 5.0 s), and after a restart of the
//!   broker says first that there are no queues, then for 3.5 s that a queue of 6 tasks has 0. So it is not used: the
//!   statistics leave the numbers out until they have them.
//! * The depth of a new queue is unread for its first 5 to 10 seconds, and that of every queue for about 4 seconds after
//!   a restart of the broker.
//! * A user needs the tag `management` and a permission on the vhost, which may be an empty one.
//!
//! ```no_run
//! # use scrapefleet_operator::broker::{Broker, Credentials, Depths, Fleet, Password, Unread};
//! # async fn example(depths: Depths, queue: scrapefleet_api::queue::RabbitMqQueue, fleet: Fleet) -> Result<(), Unread> {
//! let credentials = Credentials { username: "guest".into(), password: Password::new("guest"), ca: None };
//! let reading = depths.read(&Broker::new(&queue, credentials)?, &fleet).await?;
//! println!("{:?}, as of {} ({:?} ago)", reading.depth.total(), reading.at, reading.age);
//! # Ok(())
//! # }
//! ```

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use scrapefleet_api::{FleetName, LaneName};
use scrapefleet_policy::{Clock, Instant};

mod address;
mod cache;
mod listing;
mod management;
mod names;
#[cfg(test)]
mod tests;
mod unread;

pub use address::{Broker, Credentials, InvalidBroker, Password};
pub use listing::FleetDepth;
pub(crate) use names::scope;
pub use unread::Unread;

/// A fleet whose depth is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: FleetName,
    /// Its lanes. A lane without a queue is unread.
    pub lanes: Vec<LaneName>,
}

/// A depth that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// How many tasks are where.
    pub depth: FleetDepth,
    /// When the broker was asked.
    pub at: Timestamp,
    /// How long that is ago: up to a second when all is well, up to 5 when the broker did not answer since. The broker's
    /// own numbers may be older by 5 seconds.
    pub age: Duration,
}

/// Reads depths, for all fleets. Clones share the readings.
#[derive(Debug, Clone)]
pub struct Depths {
    brokers: Arc<cache::Brokers>,
    clock: Arc<dyn Clock>,
}

impl Depths {
    /// Nothing is read yet. The clock dates the readings.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { brokers: Arc::default(), clock }
    }

    /// The depth of one fleet; takes 4 seconds at most.
    pub async fn read(&self, broker: &Broker, fleet: &Fleet) -> Result<Reading, Unread> {
        let shared = self.brokers.get(broker, Instant::now())?;
        let sheet = shared.sheet(&*self.clock).await?;
        let depth = sheet.listing.depth(fleet)?;
        Ok(Reading { depth, at: sheet.at, age: sheet.read.elapsed() })
    }
}
