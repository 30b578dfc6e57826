//! A whole watcher, in virtual time, on a scripted list and a queue that can fail.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod list;
mod lock;
mod notices;
mod queue;
mod rig;
mod simulation;
