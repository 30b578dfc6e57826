//! The edge to the API server: a client that counts, and the few calls that change something.

mod apply;
mod counting;
mod events;

use std::time::Duration;

use scrapefleet_telemetry::escape;

pub use apply::{Applied, Apply, Doomed, Failed, QueueRemoval, Removed};
pub use counting::{Counted, Counting};
pub use events::Announcer;

/// How long one call may take. The client by itself repeats for minutes what an API server refuses for being busy.
pub(crate) const CALL: Duration = Duration::from_secs(10);

/// The longest text of an error, in characters.
const LONGEST: usize = 300;

/// An error of the API server in words: one line, bounded.
#[must_use]
pub(crate) fn words(error: &kube::Error) -> String {
    let text = match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        other => other.to_string(),
    };
    let cut: String = text.chars().take(LONGEST).collect();
    escape(&cut).into_owned()
}

/// The HTTP status with which the API server refused.
#[must_use]
pub(crate) fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}
