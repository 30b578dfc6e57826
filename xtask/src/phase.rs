//! Phases of a task: what goes on now, and how long each thing took.

use std::time::{Duration, Instant};

/// The phases of a task, told on stderr as they start and end.
#[derive(Debug)]
pub(crate) struct Phases {
    task: &'static str,
    started: Instant,
    done: Vec<(&'static str, Duration)>,
}

impl Phases {
    /// Starts the clock of `task`.
    pub(crate) fn start(task: &'static str) -> Self {
        Self { task, started: Instant::now(), done: Vec::new() }
    }

    /// Runs one phase, and says how long it took whether it succeeds or not.
    pub(crate) async fn run<T>(&mut self, name: &'static str, work: impl Future<Output = T>) -> T {
        eprintln!("── {}: {name}", self.task);
        let started = Instant::now();
        let result = work.await;
        let took = started.elapsed();
        eprintln!("── {}: {name} took {}", self.task, spoken(took));
        self.done.push((name, took));
        result
    }

    /// Time since the task began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// All of it in a few words: `4 min 12 s (build 3 min 01 s, test 1 min 11 s)`.
    pub(crate) fn summary(&self) -> String {
        summary(self.elapsed(), &self.done)
    }
}

fn summary(total: Duration, done: &[(&'static str, Duration)]) -> String {
    let parts: Vec<_> = done.iter().map(|(name, took)| format!("{name} {}", spoken(*took))).collect();
    if parts.is_empty() { spoken(total) } else { format!("{} ({})", spoken(total), parts.join(", ")) }
}

/// A duration as a person says it: `0.3 s`, `12.4 s`, `3 min 05 s`, `1 h 02 min`.
pub(crate) fn spoken(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    let seconds = (tenths + 5) / 10;
    match seconds {
        0..60 => format!("{}.{} s", tenths / 10, tenths % 10),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_at_every_size() {
        for (millis, text) in [
            (0, "0.0 s"),
            (49, "0.0 s"),
            (50, "0.1 s"),
            (12_440, "12.4 s"),
            (59_400, "59.4 s"),
            (59_960, "1 min 00 s"),
            (185_000, "3 min 05 s"),
            (3_599_400, "59 min 59 s"),
            (3_720_000, "1 h 02 min"),
        ] {
            assert_eq!(spoken(Duration::from_millis(millis)), text, "{millis} ms");
        }
    }

    #[test]
    fn a_summary_names_each_phase() {
        let phases = [("build", Duration::from_secs(2)), ("test", Duration::from_secs(1))];
        assert_eq!(summary(Duration::from_secs(3), &phases), "3.0 s (build 2.0 s, test 1.0 s)");
        assert_eq!(summary(Duration::from_secs(3), &[]), "3.0 s");
    }

    #[tokio::test]
    async fn a_failing_phase_is_counted_too() {
        let mut phases = Phases::start("t");
        let failed: Result<(), &str> = phases.run("one", async { Err("no") }).await;
        assert_eq!(failed, Err("no"));
        assert!(phases.summary().contains("(one "), "{}", phases.summary());
    }
}
