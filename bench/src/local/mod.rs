//! The local run: memory of a full bot, delay of the watcher, speed of the embedded queue.

mod memory;
mod observer;
mod peer;
mod queue;
mod run;
mod watcher;

use crate::Measurement;

/// What is measured, in this order.
pub const MEASUREMENTS: &[Measurement] = &[
    Measurement { name: "queue", run: queue::measure },
    Measurement { name: "watcher", run: watcher::measure },
    Measurement { name: "memory", run: memory::measure },
];
