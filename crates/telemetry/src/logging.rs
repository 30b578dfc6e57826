//! Log set-up.
//!
//! One record is one line, whatever is in it: text from pages cannot forge further lines or drive a terminal, and a
//! record is no longer than [`LONGEST`]. The newest lines are kept in memory as well; [`recent`] has them.

use std::{env, io};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

mod lines;
mod recent;

pub use lines::LONGEST;
pub(crate) use lines::LOST;
use lines::Lines;
pub use recent::{LINES, LONGEST_KEPT, Recent};

/// The environment variable whose filter, when set, is used instead of the program's.
pub const FILTER_VARIABLE: &str = "SCRAPEFLEET_LOG";

/// How records are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people: time, level, module, message, fields.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error(
        "{origin} `{filter}` is no log filter ({reason}); write for example `info` or `warn,scrapefleet_worker=debug`"
    )]
    Filter {
        /// Where the filter came from.
        origin: String,
        /// What was found.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Logging was set up already.
    #[error("logging is set up already")]
    AlreadySetUp,
}

/// What programs log unless they are told otherwise. The AMQP client calls each closed channel an error, also the one by which
/// a standby learns twice a second that the lock is still taken; what matters of it, the queue says itself.
pub const DEFAULT_FILTER: &str = "info,lapin::channel=off";

/// Logs to stderr what `filter` lets through, for example `info,scrapefleet_worker=debug`. The environment variable
/// `SCRAPEFLEET_LOG` has the last word on the filter.
pub fn init(format: Format, filter: &str) -> Result<(), LoggingError> {
    init_to(io::stderr, format, filter)
}

/// The same to another writer, for example one that moves a progress bar out of the way first.
pub fn init_to<W>(writer: W, format: Format, filter: &str) -> Result<(), LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = choose_filter(env::var(FILTER_VARIABLE).ok(), filter)?;
    let recent = self::recent();
    build_subscriber(writer, format, filter, recent).try_init().map_err(|_| LoggingError::AlreadySetUp)
}

/// The newest lines of this process's log; none before it is set up. Cheap to ask for and to keep.
#[must_use]
pub fn recent() -> Recent {
    recent::OF_PROCESS.clone()
}

fn choose_filter(from_environment: Option<String>, from_program: &str) -> Result<EnvFilter, LoggingError> {
    let (origin, filter) = match from_environment {
        Some(filter) if !filter.trim().is_empty() => {
            (format!("the environment variable {FILTER_VARIABLE}"), filter)
        }
        _ => ("the log filter".to_owned(), from_program.to_owned()),
    };
    EnvFilter::try_new(&filter).map_err(|error| LoggingError::Filter {
        origin,
        filter,
        reason: error.to_string(),
    })
}

/// What is logged where. Errors of the writer are not reported by the subscriber, because it would do so on stderr, the
/// very place that most likely failed; they are counted, as
/// `log_records_lost_total`.
fn build_subscriber<W>(
    writer: W,
    format: Format,
    filter: EnvFilter,
    recent: Recent,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let writer = Lines::new(writer, format, recent);
    let lines = fmt::layer().with_writer(writer).with_ansi(false).log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        Format::Text => Box::new(registry.with(lines)),
        Format::Json => Box::new(registry.with(lines.json().flatten_event(true))),
    }
}

#[cfg(test)]
mod tests;
