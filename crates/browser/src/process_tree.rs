//! The processes that descend from one, as /proc shows them, and the memory they take.
//!
//! Chrome gives its processes groups and sessions of their own, so a tree is followed by parents, not by groups.

use std::{collections::BTreeMap, ffi::OsStr, time::Duration};

use procfs::process::{Process, all_processes};
use scrapefleet_policy::within;

/// The most processes of a tree that are looked at when memory is summed, so that its cost is bounded.
/// A Chrome with 60 tabs has about 70.
const MOST_MEASURED: usize = 256;

/// How long measuring may take. For a Chrome with ten processes it takes some 20 ms.
const MEASURING: Duration = Duration::from_secs(2);

/// All living descendants of `root`, without `root` itself; zombies are left out. Empty where /proc cannot be read.
#[must_use]
pub fn descendants(root: i32) -> Vec<i32> {
    below(vec![root])
}

/// Every living process whose environment has this, and all that descends from one. What may not be read is left out: of a
/// sandboxed browser its renderers, which descend from one that may.
#[must_use]
pub fn with_variable(name: &OsStr, value: &OsStr) -> Vec<i32> {
    let has_it = |process: &Process| {
        let found = process.environ().ok().and_then(|mut all| all.remove(name));
        found.as_deref() == Some(value)
    };
    let mut found: Vec<i32> =
        all_processes().into_iter().flatten().flatten().filter(has_it).map(|process| process.pid).collect();
    found.extend(below(found.clone()));
    found.sort_unstable();
    found.dedup();
    found
}

/// All living descendants of `roots`.
fn below(roots: Vec<i32>) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<(i32, bool)>> = BTreeMap::new();
    let stats = all_processes().into_iter().flatten().flatten().filter_map(|process| process.stat().ok());
    for stat in stats {
        children.entry(stat.ppid).or_default().push((stat.pid, stat.state != 'Z'));
    }
    let (mut found, mut next) = (Vec::new(), roots);
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

/// The same, read beside the runtime: the kernel walks every page table for it. None also where that takes too long.
pub async fn measure(root: u32) -> Option<u64> {
    let root = i32::try_from(root).ok()?;
    let read = tokio::task::spawn_blocking(move || memory(root));
    within(MEASURING, "read the memory of processes", read).await.ok()?.ok()?
}

/// A process as /proc shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub pid: i32,
    /// The id of its parent.
    pub parent: i32,
    /// The name of its program, at most 15 bytes; a program can choose it.
    pub name: String,
    /// What it does: `R` runs, `S` sleeps, `T` is stopped, `Z` is dead and not yet reaped, and others of proc(5).
    pub state: char,
    /// Proportional memory (PSS) in bytes, where it may be read; see [`memory`].
    pub memory: Option<u64>,
}

/// `root` and all that descends from it, dead ones too; at most `most` of them, those nearest to `root`. Empty when `root`
/// cannot be seen.
#[must_use]
pub fn look(root: i32, most: usize) -> Vec<Seen> {
    let mut children: BTreeMap<i32, Vec<Seen>> = BTreeMap::new();
    let mut next = std::collections::VecDeque::new();
    for stat in all_processes().into_iter().flatten().flatten().filter_map(|process| process.stat().ok()) {
        let seen =
            Seen { pid: stat.pid, parent: stat.ppid, name: stat.comm, state: stat.state, memory: None };
        if seen.pid == root {
            next.push_back(seen);
        } else {
            children.entry(seen.parent).or_default().push(seen);
        }
    }
    let mut found = Vec::new();
    while let Some(seen) = next.pop_front() {
        if found.len() == most {
            break;
        }
        next.extend(children.remove(&seen.pid).unwrap_or_default());
        found.push(Seen { memory: memory_of(seen.pid), ..seen });
    }
    found
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

    #[tokio::test]
    async fn memory_is_measured_beside_the_runtime() {
        assert!(measure(std::process::id()).await > Some(0));
        assert_eq!(measure(u32::MAX).await, None);
        // More than the kernel ever gives.
        assert_eq!(measure(5_000_000).await, None);
    }

    #[test]
    fn processes_are_found_by_what_they_were_told() {
        let (name, value) = ("SCRAPEFLEET_TEST_TREE", format!("tree-{}", std::process::id()));
        let mut shell = Command::new("sh")
            .args(["-c", "env -u SCRAPEFLEET_TEST_TREE sleep 60 & read _"])
            .env(name, &value)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let find = || with_variable(OsStr::new(name), OsStr::new(&value));
        let sleeps = || {
            let all = look(i32::try_from(shell.id()).unwrap(), 10);
            all.iter().any(|seen| seen.name == "sleep")
        };
        let started = std::time::Instant::now();
        while !sleeps() && started.elapsed().as_secs() < 10 {
            std::thread::yield_now();
        }
        let found = find();
        for pid in &found {
            let pid = rustix::process::Pid::from_raw(*pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        shell.wait().unwrap();
        assert_eq!(found.len(), 2, "the shell, and what it started without the variable");
        assert_eq!(find(), Vec::<i32>::new());
    }

    #[test]
    fn follows_parents_across_groups_and_sums_their_memory() {
        let mut shell = Command::new("sh")
            .args(["-c", "setsid sleep 60 & sleep 60 & read _"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let root = i32::try_from(shell.id()).unwrap();
        let started = std::time::Instant::now();
        // A shell's child has the shell's name, and then `setsid`'s, before it is what was asked for.
        let sleeps = || look(root, 10).iter().filter(|seen| seen.name == "sleep").count();
        while sleeps() < 2 && started.elapsed().as_secs() < 10 {
            std::thread::yield_now();
        }
        let found = descendants(root);
        let alone = memory_of(root).unwrap();
        let all = memory(root).unwrap();
        let (looked, some) = (look(root, 10), look(root, 2));
        for pid in found.iter().copied().chain([root]) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        shell.wait().unwrap();
        assert_eq!(found.len(), 2);
        assert!(alone > 0 && all > alone, "{alone} {all}");
        assert_eq!(memory(root), None, "what is gone has no memory");
        let seen: Vec<_> = looked.iter().map(|seen| (seen.parent == root, seen.name.as_str())).collect();
        assert_eq!(seen, [(false, "sh"), (true, "sleep"), (true, "sleep")]);
        assert!(looked.iter().all(|seen| "RSDI".contains(seen.state) && seen.memory.is_some()), "{looked:?}");
        assert_eq!((some.len(), some[0].pid, look(root, 10)), (2, root, Vec::new()));
    }
}
