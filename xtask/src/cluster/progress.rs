//! Telling a person what is going on: a line per step, with the time since the command began.

use std::time::{Duration, Instant};

/// The clock of one command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    start: Instant,
}

impl Progress {
    /// Begins now.
    pub(crate) fn begin() -> Self {
        Self { start: Instant::now() }
    }

    /// Says what has just happened, or is about to take long.
    pub(crate) fn say(&self, what: impl std::fmt::Display) {
        eprintln!("[{}] {what}", render(self.start.elapsed()));
    }
}

/// A duration as a person reads it: tenths of seconds, and minutes once there are any.
fn render(elapsed: Duration) -> String {
    let (minutes, seconds) = (elapsed.as_secs() / 60, elapsed.as_secs_f64() % 60.0);
    if minutes == 0 { format!("{seconds:6.1} s") } else { format!("{minutes} min {seconds:4.1} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_show_only_once_there_are_any() {
        assert_eq!(render(Duration::from_millis(1234)), "   1.2 s");
        assert_eq!(render(Duration::from_secs(125)), "2 min  5.0 s");
    }
}
