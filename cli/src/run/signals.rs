//! Ctrl-C and SIGTERM: the first drains, the second releases at once.

use scrapefleet_worker::Signals;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::progress::Display;

/// Listens for the rest of the program's life.
pub(super) fn listen(display: &Display) -> Signals {
    let signals = Signals::default();
    let (told, display) = (signals.clone(), display.clone());
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(interrupt), Ok(terminate)) => {
            tokio::spawn(obey(interrupt, terminate, told, display));
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "cannot listen for signals: Ctrl-C ends the program without draining");
        }
    }
    signals
}

async fn obey(mut interrupt: Signal, mut terminate: Signal, signals: Signals, display: Display) {
    for told in [&signals.drain, &signals.release] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if told.is_cancelled() || signals.drain.is_cancelled() {
            display.say("giving back at once what is held");
        } else {
            display.say("draining; once more to give back at once what is held");
        }
        told.cancel();
    }
}
