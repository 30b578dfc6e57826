//! Battle logs: the simulator's protocol, one message a line (`|KIND|ARGUMENT|...`).
//!
//! The kinds are documented in the simulator's own `SIM-PROTOCOL.md`. Only what tells whether a log is whole, and how
//! the battle ended, is read here. Names, chat and everything else between the bars is a stranger's.

mod canonical;
mod completeness;
mod difference;
mod inspect;
mod line;
mod summary;

pub use canonical::canonical;
pub use completeness::completeness;
pub use difference::{Difference, compare};
pub use inspect::BattleLogs;
pub use line::Line;
pub use summary::{End, Player, RatingChange, Summary};

#[cfg(test)]
mod samples;
