//! The scrapefleet command.
//!
//! `run` puts a watcher and bots into one process on the embedded queue and a directory; `verify` accounts for
//! every item from what they left; `dead` looks at what was given up, `post-mortems` at what was left of browsers. `bot` and `watcher` are one part of a fleet each, in
//! a pod. [`fleet`] makes a fleet of a manifest, [`places`] opens its queue and its store.

pub mod args;
pub mod check;
mod credentials;
pub mod dead;
pub mod error;
pub mod fleet;
pub mod ledger;
pub mod places;
pub mod pod;
pub mod postmortems;
pub mod run;
mod terminal;
pub mod verify;

pub use credentials::Whose;
pub use error::CliError;
