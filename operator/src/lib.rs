//! The operator: makes what a ScrapeFleet says true.
//!
//! One look at a fleet is: [`observe`] what there is, [`plan`] what to do, [`api`] to do it, [`status`] to tell of it.
//! Everything that decides is a function of values; what talks to others is thin.
//!
//! | to | look at |
//! |---|---|
//! | decide how many bots there are, who is drained, replaced, exchanged | [`plan`] |
//! | change what a pod looks like | [`build`] |
//! | add a condition, or say it better | [`status`] |
//! | read something else from outside | [`observe`], [`broker`] |
//! | see how a look goes, step by step | [`controller`] |
//! | elect a leader | [`lease`] |

pub mod abandonments;
pub mod api;
pub mod broker;
pub mod build;
pub mod controller;
pub mod failpoint;
mod http;
pub mod lease;
pub mod metrics;
pub mod names;
pub mod observe;
pub mod observed;
pub mod options;
pub mod plan;
pub mod prepared;
pub mod probe;
pub mod removal;
pub mod run;
pub mod session;
pub mod status;
pub mod tally;
pub mod watches;

pub use observed::Observed;

/// The port on which bots and watchers serve their metrics, health and status.
pub const PORT: u16 = 8080;
