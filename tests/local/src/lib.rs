//! End-to-end tests of the local run: what they share.
//!
//! A [`Fleet`] is a manifest and a data folder; a [`Scrape`] is the real `scrapefleet run` on it, to be watched
//! through its `/status`, interrupted or killed. [`truth`] compares what was stored with what the server logged,
//! [`processes`] finds the browser's processes, so that tests can do them harm.

pub mod fleet;
pub mod processes;
pub mod program;
pub mod rooms;
pub mod scrape;
pub mod truth;

pub use fleet::Fleet;
pub use scrape::Scrape;
