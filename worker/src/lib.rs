//! The bot: holds items in a browser until they end and stores what they leave.
//!
//! A [`Bot`] is one Chrome and the items it holds. Its life is a loop of small steps, one at a time, because a
//! browser does one thing at a time: `schedule` says which step is next, `judgement` what an observation means
//! for an item, `blame` which item is suspected when a browser dies, `outage` and `lifetime` when a bot makes room for
//! another. Those five are pure. `bot` carries the steps out, `intake`, `open`, `isolate`, `probe`, `finish`, `abandon`
//! and `shutdown` being its parts. Beside the loop, so that a slow store or queue never keeps the browser from being
//! watched, `storing` puts artifacts away and `settling` finishes tasks.

mod abandon;
pub mod blame;
mod bot;
pub mod claims;
pub mod config;
pub mod exit;
mod finish;
mod health;
pub mod hold;
mod intake;
mod isolate;
pub mod judgement;
pub mod lifetime;
pub mod metrics;
mod open;
pub mod outage;
mod owner;
pub mod postmortem;
mod probe;
pub mod schedule;
mod settling;
mod shutdown;
mod spare;
pub mod status;
mod steps;
mod store_trouble;
mod storing;
pub mod tally;

pub use bot::{Bot, Parts, Signals};
pub use config::BotConfig;
pub use exit::BotExit;
pub use metrics::WorkerMetrics;
pub use postmortem::{PostMortems, Standstill};
pub use status::BotStatus;
pub use steps::Steps;
pub use tally::{Tally, Totals};
