//! The clock of a node, off by minutes.
//!
//! The kernel has one calendar for all processes, and all nodes are on one machine. So the clock is set in the processes: in each, the
//! code by which it tells the time is changed, as Chaos Mesh does it. What is off is the calendar time of the node's kubelet, its
//! container runtime, and the bots and watchers on it; not that of Chrome, whose sandbox asks in its own way and of which nothing is
//! dated, nor of programs that are started meanwhile. How long something takes, every process tells as before.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    ops::Range,
    os::unix::fs::FileExt as _,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use jiff::SignedDuration;
use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use procfs::process::MMapPath;
use scrapefleet_e2e::{
    Nodes,
    processes::{self, Process},
};
use scrapefleet_policy::within;

use super::{CALL_WITHIN, Ground, pod::PROGRAM, repair::Repair, vdso};
use crate::{Scenario, effect::Fault, observer};

/// How far a clock is off, in seconds.
const OFF: i32 = 600;
/// A node that says how it is dates that; it does so every few seconds.
const SEEN_WITHIN: Duration = Duration::from_secs(30);
/// How far that is off at the least: it is a few seconds old when it is read.
const SEEN_OFF: SignedDuration = SignedDuration::from_mins(9);
/// How often it is tried to find a process whose threads are all outside of what is to be changed.
const TRIES: usize = 1_000;

impl Ground<'_> {
    /// Sets the clock of a node.
    pub(super) async fn strike_clock(&mut self, scenario: Scenario) -> Result<Fault> {
        let (node, _) = self.choose_node().await?;
        let seconds = if scenario == Scenario::ClockAhead { OFF } else { -OFF };
        let mut targets = self.programs_on(&node).await?;
        for component in ["kubelet", "containerd"] {
            let of_node = |process: &Process| process.command.contains(&format!("/{node}/"));
            targets.extend(processes::of_cluster(component)?.into_iter().filter(of_node));
        }
        let fault = self.fault(scenario, &[]);
        for target in targets {
            let clock = Clock::of(target.id.as_raw_nonzero().get(), seconds)?;
            self.repairs.owe(Repair::SetClock(clock.clone()));
            clock.set().await.with_context(|| format!("set the clock of {}", target.program))?;
        }
        let off = async || {
            let said = Nodes(self.space).clock(&node).await?.context("the node has said nothing yet")?;
            Ok((said.duration_since(observer::now()).abs() > SEEN_OFF).then_some(()))
        };
        self.space.until(&format!("the clock of {node} is seen to be off"), SEEN_WITHIN, off).await?;
        self.outlast(fault).await
    }

    /// The programs of the fleet on a node.
    async fn programs_on(&self, node: &str) -> Result<Vec<Process>> {
        let names: Vec<String> = {
            let seen = self.observer.seen();
            let live = seen.live("bot").chain(seen.live("watcher"));
            live.filter(|(_, pod)| pod.node.as_deref() == Some(node))
                .map(|(_, pod)| pod.name.clone())
                .collect()
        };
        let mut programs = Vec::new();
        for name in names {
            programs.push(processes::one(&self.pod(&name).await?, PROGRAM)?);
        }
        Ok(programs)
    }
}

/// The clock of a process, as the process itself tells the time.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    process: i32,
    /// When it was started: another may have its number some day.
    started: u64,
    /// Where the code is that tells it.
    vdso: Range<u64>,
    texts: Vec<Text>,
}

/// A part of that code.
#[derive(Debug, Clone)]
struct Text {
    at: u64,
    right: Vec<u8>,
    off: Vec<u8>,
}

impl Clock {
    /// The clock of a process, to be set so many seconds off.
    pub(super) fn of(process: i32, seconds: i32) -> Result<Self> {
        let seen = procfs::process::Process::new(process)?;
        let map =
            seen.maps()?.into_iter().find(|map| map.pathname == MMapPath::Vdso).context("it has no vDSO")?;
        let (start, end) = map.address;
        let mut image = vec![0; usize::try_from(end - start)?];
        memory(process)?.read_exact_at(&mut image, start).context("read the vDSO")?;
        let patches = vdso::patches(&image, seconds)?;
        let text = |patch: vdso::Patch| Text {
            at: start + patch.at as u64,
            right: image[patch.at..patch.at + patch.code.len()].to_vec(),
            off: patch.code,
        };
        let texts = patches.into_iter().map(text).collect();
        Ok(Self { process, started: seen.stat()?.starttime, vdso: start..end, texts })
    }

    /// It is off from now on.
    pub(super) async fn set(&self) -> Result<()> {
        let clock = self.clone();
        in_thread(move || clock.exchange(|text| (&text.right, &text.off))).await
    }

    /// It is right from now on. The clock of a process that has ended meanwhile is as good as right.
    pub(super) async fn mend(self) -> Result<()> {
        in_thread(move || {
            let mended = self.exchange(|text| (&text.off, &text.right));
            if self.goes_on() { mended } else { Ok(()) }
        })
        .await
    }

    /// Whether the process has not ended.
    fn goes_on(&self) -> bool {
        let seen = procfs::process::Process::new(self.process).and_then(|seen| seen.stat());
        seen.is_ok_and(|seen| seen.starttime == self.started && seen.state != 'Z')
    }

    /// Puts one text in the place of the other, where it is not yet, while no thread is in the middle of either.
    fn exchange(&self, which: impl Fn(&Text) -> (&Vec<u8>, &Vec<u8>)) -> Result<()> {
        for _ in 0..TRIES {
            let stopped = Stopped::all_of(self.process)?;
            if stopped.are_outside(&self.vdso)? {
                return self.texts.iter().try_for_each(|text| {
                    let (before, after) = which(text);
                    replace(self.process, text.at, before, after)
                });
            }
            // Its threads go on for a moment.
            drop(stopped);
            thread::yield_now();
        }
        bail!("a thread of process {} does nothing but ask for the time", self.process)
    }
}

/// Debuggers are threads: all that is done to a stopped process is done in one.
async fn in_thread(work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    within(CALL_WITHIN, "set a clock", tokio::task::spawn_blocking(work)).await??
}

/// Replaces a part of a process's memory, also where the process itself may only read it: it gets a copy of its own.
fn replace(process: i32, at: u64, before: &[u8], after: &[u8]) -> Result<()> {
    let memory = memory(process)?;
    let mut found = vec![0; before.len()];
    memory.read_exact_at(&mut found, at)?;
    ensure!(found == before || found == after, "another has changed the code of process {process}");
    Ok(memory.write_all_at(after, at)?)
}

fn memory(process: i32) -> Result<File> {
    let path = format!("/proc/{process}/mem");
    OpenOptions::new().read(true).write(true).open(&path).with_context(|| format!("open {path}"))
}

/// The threads of a process, which stand still until this is dropped.
struct Stopped {
    process: i32,
    threads: BTreeMap<i32, Thread>,
}

/// What has become of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// It stands still. It was about to get this signal, and gets it when it goes on.
    Still(Option<Signal>),
    /// It has ended.
    Ended,
}

impl Stopped {
    /// Stops every thread, those too that are started meanwhile.
    fn all_of(process: i32) -> Result<Self> {
        let mut stopped = Self { process, threads: BTreeMap::new() };
        loop {
            let tasks = procfs::process::Process::new(process)?.tasks()?;
            let all: Vec<i32> = tasks.filter_map(|task| Some(task.ok()?.tid)).collect();
            let new: Vec<_> = all.into_iter().filter(|id| !stopped.threads.contains_key(id)).collect();
            if new.is_empty() {
                return Ok(stopped);
            }
            for thread in new {
                stopped.stop(thread).with_context(|| format!("stop thread {thread} of process {process}"))?;
            }
        }
    }

    fn stop(&mut self, thread: i32) -> Result<()> {
        let id = Pid::from_raw(thread);
        self.threads.insert(thread, Thread::Ended);
        match ptrace::seize(id, Options::empty()) {
            Err(Errno::ESRCH) => return Ok(()),
            seized => seized?,
        }
        // From here on it is let go whatever happens.
        self.threads.insert(thread, Thread::Still(None));
        ptrace::interrupt(id)?;
        let now = match waitpid(id, Some(WaitPidFlag::__WALL))? {
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => Thread::Ended,
            WaitStatus::Stopped(_, signal) => Thread::Still(Some(signal)),
            _ => Thread::Still(None),
        };
        self.threads.insert(thread, now);
        Ok(())
    }

    /// Whether none of them goes on within `code`.
    fn are_outside(&self, code: &Range<u64>) -> Result<bool> {
        for (thread, _) in self.threads.iter().filter(|(_, thread)| **thread != Thread::Ended) {
            let path = format!("/proc/{}/task/{thread}/syscall", self.process);
            let said = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
            // The last word is where it goes on.
            let at = said.split_whitespace().next_back().and_then(|word| word.strip_prefix("0x"));
            let at = at.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            if code.contains(&at.with_context(|| format!("{path} says {said:?}"))?) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for (thread, now) in &self.threads {
            if let Thread::Still(signal) = now {
                // One that was killed meanwhile needs nothing more.
                let _ = ptrace::detach(Pid::from_raw(*thread), *signal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    };

    use super::*;

    /// A program that says the time in seconds for every line that is written to it.
    struct Teller {
        child: Child,
        asks: ChildStdin,
        says: BufReader<ChildStdout>,
    }

    impl Teller {
        fn start(words: &[&str]) -> Self {
            let mut command = Command::new(words[0]);
            let command = command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let (asks, says) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            Self { child, asks, says: BufReader::new(says) }
        }

        /// By how many seconds it is ahead of this process.
        fn ahead(&mut self) -> i64 {
            writeln!(self.asks, "now").unwrap();
            let mut said = String::new();
            self.says.read_line(&mut said).unwrap();
            said.trim().parse::<i64>().unwrap() - observer::now().as_second()
        }
    }

    impl Drop for Teller {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    #[tokio::test]
    async fn a_process_has_another_time_until_its_clock_is_mended() {
        for (call, words) in [
            ("clock_gettime", &["stdbuf", "-oL", "date", "--file=-", "+%s"][..]),
            ("time", &["bash", "-c", "while read -r line; do echo $EPOCHSECONDS; done"][..]),
            ("gettimeofday", &["bash", "-c", "while read -r line; do echo ${EPOCHREALTIME%[.,]*}; done"][..]),
        ] {
            for seconds in [OFF, -OFF] {
                let mut teller = Teller::start(words);
                assert!(teller.ahead().abs() < 60, "{call}: at first");
                let clock = Clock::of(i32::try_from(teller.child.id()).unwrap(), seconds).unwrap();
                clock.set().await.unwrap();
                assert!((teller.ahead() - i64::from(seconds)).abs() < 60, "{call}: {seconds} s off");
                clock.set().await.unwrap();
                assert!((teller.ahead() - i64::from(seconds)).abs() < 60, "{call}: once is enough");
                clock.mend().await.unwrap();
                assert!(teller.ahead().abs() < 60, "{call}: mended");
            }
        }
    }

    #[tokio::test]
    async fn the_clock_of_a_process_that_has_ended_is_as_good_as_right() {
        let teller = Teller::start(&["cat"]);
        let clock = Clock::of(i32::try_from(teller.child.id()).unwrap(), OFF).unwrap();
        clock.set().await.unwrap();
        drop(teller);
        clock.mend().await.unwrap();
    }
}
