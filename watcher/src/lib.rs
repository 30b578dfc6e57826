//! The watcher: keeps a list open and queues every item it has not seen.
//!
//! [`overlap`] compares what the list shows with what was seen before, [`pace`] says how soon to look again,
//! [`repair`] what to do when the list does not answer; these are pure. [`Watcher`] looks, publishes and repairs.

pub mod metrics;
pub mod overlap;
pub mod pace;
pub mod recent;
pub mod repair;
pub mod status;
mod watcher;

pub use metrics::WatcherMetrics;
pub use status::{WatcherState, WatcherStatus};
pub use watcher::{Means, Watcher, WatcherConfig};
