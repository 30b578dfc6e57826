//! The scrapefleet command.
//!
//! `run` puts a watcher and bots into one process on the embedded queue and a directory; `verify` accounts for
//! every item from what they left; `dead` looks at what was given up. [`fleet`] makes a fleet of a manifest.

pub mod args;
pub mod check;
pub mod dead;
pub mod error;
pub mod fleet;
pub mod ledger;
pub mod run;
mod terminal;
pub mod verify;

pub use error::CliError;
