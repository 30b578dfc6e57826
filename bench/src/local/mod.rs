//! The local run: memory of a full bot, delay of the watcher, speed of the embedded queue.

mod peer;
mod queue;

use crate::Measurement;

/// What is measured, in this order.
pub const MEASUREMENTS: &[Measurement] = &[Measurement { name: "queue", run: queue::measure }];
