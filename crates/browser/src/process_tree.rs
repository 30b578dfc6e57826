//! The processes that descend from one, as /proc shows them, and the memory they take.
//!
//! Chrome gives its processes groups and sessions of their own, so a tree is followed by parents, not by groups.

use std::collections::BTreeMap;

use procfs::process::{Process, all_processes};

/// The most processes of a tree that are looked at when memory is summed, so that its cost is bounded.
/// A Chrome with 60 tabs has about 70.
const MOST_MEASURED: usize = 256;

/// All living descendants of `root`, without `root` itself; zombies are left out. Empty where /proc cannot be read.
#[must_use]
pub fn descendants(root: i32) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<(i32, bool)>> = BTreeMap::new();
    let stats = all_processes().into_iter().flatten().flatten().filter_map(|process| process.stat().ok());
    for stat in stats {
        children.entry(stat.ppid).or_default().push((stat.pid, stat.state != 'Z'));
    }
    let (mut found, mut next) = (Vec::new(), vec![root]);
    while let Some(parent) = next.pop() {
        for (pid, alive) in children.remove(&parent).unwrap_or_default() {
            next.push(pid);
            found.extend(alive.then_some(pid));
        }
    }
    found
}

/// Proportional memory (PSS) in bytes of `root` and all that descends from it; none when `root` cannot be seen.
///
/// Of a process whose shares may not be read (a sandboxed renderer, when the reader is not root) only what is its
/// own is counted.
#[must_use]
pub fn memory(root: i32) -> Option<u64> {
    let own = memory_of(root)?;
    let rest = descendants(root).into_iter().take(MOST_MEASURED).filter_map(memory_of);
    Some(own + rest.sum::<u64>())
}

fn memory_of(pid: i32) -> Option<u64> {
    let process = Process::new(pid).ok()?;
    let shares = process.smaps_rollup().ok().and_then(|rollup| {
        rollup.memory_map_rollup.into_iter().find_map(|map| map.extension.map.get("Pss").copied())
    });
    shares.or_else(|| {
        let pages = process.statm().ok()?;
        Some(pages.resident.saturating_sub(pages.shared) * procfs::page_size())
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn follows_parents_across_groups_and_sums_their_memory() {
        let mut shell = Command::new("sh")
            .args(["-c", "setsid sleep 60 & sleep 60 & read _"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let root = i32::try_from(shell.id()).unwrap();
        let started = std::time::Instant::now();
        while descendants(root).len() < 2 && started.elapsed().as_secs() < 10 {
            std::thread::yield_now();
        }
        let found = descendants(root);
        let alone = memory_of(root).unwrap();
        let all = memory(root).unwrap();
        for pid in found.iter().copied().chain([root]) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        shell.wait().unwrap();
        assert_eq!(found.len(), 2);
        assert!(alone > 0 && all > alone, "{alone} {all}");
        assert_eq!(memory(root), None, "what is gone has no memory");
    }
}
