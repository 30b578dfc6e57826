//! End-to-end tests of the local run: what they share.
//!
//! A [`Fleet`] is a manifest and a data folder; a [`Scrape`] is the real `scrapefleet run` on it, to be watched
//! through its `/status`, interrupted or killed. [`truth`] compares what was stored with what the server logged,
//! [`processes`] finds the browser's processes, so that tests can do them harm. What a test has measured it [`say`]s.

use std::io::Write as _;

pub mod fleet;
pub mod processes;
pub mod program;
pub mod rooms;
pub mod scrape;
pub mod truth;

pub use fleet::Fleet;
pub use scrape::Scrape;

/// Says something to whoever runs the tests, also where the test passes: what macros print is shown only where it fails.
pub fn say(what: &str) {
    // Without a stderr nobody listens.
    drop(writeln!(std::io::stderr(), "{what}"));
}
