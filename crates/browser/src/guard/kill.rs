//! Killing all that descends from a process.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::process_tree::descendants;

/// Pause between two looks at what is left; a killed Chrome is gone within about 50 ms.
const PAUSE: Duration = Duration::from_millis(10);

/// Kills every descendant of `root` (not `root` itself) until none is left, stopped ones too, or `limit` has passed.
/// `reap` is called between the rounds, to bury what was adopted. Answers what is left.
pub fn kill_tree(root: u32, limit: Duration, mut reap: impl FnMut()) -> Vec<i32> {
    let Ok(root) = i32::try_from(root) else { return Vec::new() };
    let started = Instant::now();
    loop {
        let left = descendants(root);
        for pid in left.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            // It may have died since it was seen; the next look tells.
            let _ = kill_process(pid, Signal::KILL);
        }
        reap();
        if left.is_empty() || started.elapsed() >= limit {
            return left;
        }
        thread::sleep(PAUSE);
    }
}
