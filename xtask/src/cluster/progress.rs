//! Telling a person what is going on: a line per step, with the time since the command began.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a step that takes long says that it goes on.
const EVERY: Duration = Duration::from_mins(1);

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

    /// Does something that may take long, and says every minute that it goes on, and for how long it has.
    pub(crate) fn during<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let goes_on = || self.say(format!("still {what}, for {}", render(start.elapsed()).trim_start()));
        telling(EVERY, goes_on, work)
    }
}

/// Does the work, and meanwhile tells that it goes on, once in every such time.
fn telling<T>(every: Duration, goes_on: impl FnMut() + Send, work: impl FnOnce() -> T) -> T {
    let (working, done) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || tell_until(&done, every, goes_on));
        // Taken in here, so that it ends with the work also where that panics: the other thread is waited for.
        let _working = working;
        work()
    })
}

fn tell_until(done: &Receiver<()>, every: Duration, mut goes_on: impl FnMut()) {
    while done.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        goes_on();
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

    #[test]
    fn work_that_takes_long_is_told_of_until_it_is_done() {
        let (tell, told) = mpsc::channel();
        let goes_on = move || tell.send(()).unwrap();
        let (outcome, told) = telling(Duration::from_millis(1), goes_on, || {
            told.recv().unwrap();
            told.recv().unwrap();
            (7, told)
        });
        assert_eq!(outcome, 7);
        // This ends, so what told has ended too.
        told.iter().for_each(drop);
    }

    #[test]
    fn work_that_is_quick_is_not_told_of() {
        let mut told = 0;
        telling(EVERY, || told += 1, || ());
        assert_eq!(told, 0);
    }
}
