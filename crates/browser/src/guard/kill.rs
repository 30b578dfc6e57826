//! Killing processes until none is left.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Pause between two looks at what is left; a killed Chrome is gone within about 50 ms.
const PAUSE: Duration = Duration::from_millis(10);

/// Kills what `find` finds, stopped processes too, until that is nothing or `limit` has passed. Answers what is left.
pub(super) fn kill_all(limit: Duration, mut find: impl FnMut() -> Vec<i32>) -> Vec<i32> {
    let started = Instant::now();
    loop {
        let left = find();
        for pid in left.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            // It may have died since it was seen; the next look tells.
            let _ = kill_process(pid, Signal::KILL);
        }
        if left.is_empty() || started.elapsed() >= limit {
            return left;
        }
        thread::sleep(PAUSE);
    }
}
