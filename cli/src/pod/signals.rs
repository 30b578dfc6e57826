//! SIGTERM of a pod: the first drains, a second releases at once.

use scrapefleet_worker::Signals;
use tokio::signal::unix::{SignalKind, signal};

use crate::CliError;

/// Listens for the rest of the program's life.
pub(super) fn listen() -> Result<Signals, CliError> {
    let broken = |error: std::io::Error| CliError::Machine(format!("cannot listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    let signals = Signals::default();
    let told = signals.clone();
    tokio::spawn(async move {
        for (token, said) in [(&told.drain, "draining"), (&told.release, "releasing at once")] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            tracing::info!("{said}");
            token.cancel();
        }
    });
    Ok(signals)
}
