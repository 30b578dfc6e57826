//! The watcher: keeps a list open and queues every item it has not seen.
//!
//! A [`Watcher`] has two halves that never wait for each other. One looks at the list: [`overlap`] compares what it
//! shows with what it showed before, [`pace`] says how soon to look again, [`notice`] when to say that it lets itself be
//! waited for, [`repair`] what to do when it does not answer.
//! The other talks to the queue: what was seen waits in the [`outbox`] until the queue has confirmed it, however long
//! that takes. All of these are pure.
//!
//! **How long it is blind at most.** That the list does not answer is found out within the deadline of the step that
//! looks at it; loading it anew takes no longer than the deadline of a step, starting another browser no longer than
//! that of a start. Nothing is lost by being blind for less time than the list takes to push an item out; when it took
//! longer, and the list is full, the first window afterwards is counted as a possible gap.
//!
//! **Standby.** Any number of watchers run; the one that holds the queue's lock is the active one, and only it
//! queues. The others look at the list too, less often, and keep what they see. One of them gets the lock within half a
//! second of its being free, and queues at once what it has seen within the last minute. An active one whose browser hangs
//! or dies gives the lock back, and asks for it again only when its list answers: once for each time, so that watchers which
//! all see nothing do not pass it to and fro. While the site is at fault it keeps it, for no other would see more.

mod desk;
#[cfg(test)]
mod fixture;
mod looking;
pub mod metrics;
pub mod notice;
pub mod outbox;
pub mod overlap;
pub mod pace;
mod queueing;
pub mod recent;
pub mod repair;
pub mod sightings;
pub mod status;
mod watcher;

pub use metrics::WatcherMetrics;
pub use status::{Awaited, WatcherState, WatcherStatus};
pub use watcher::{Means, Watcher, WatcherConfig};
