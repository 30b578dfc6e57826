//! Ctrl-C and its kin, told to the program that scrapes exactly once each.

use std::{error::Error, fmt, io, process::ExitStatus, time::Duration};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    signal::unix::{self, SignalKind},
    time::Instant,
};

/// After this many interrupts the program is killed: the first drains it, the second releases at once.
const KILL_AT: u32 = 3;

/// What asks this program to end.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: unix::Signal,
}

/// A person, or whoever started this program, asked it to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for Interrupted {}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit status.
    pub(super) status: ExitStatus,
    /// What made it end.
    pub(super) cause: Cause,
}

/// What made a program end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It came to its own end.
    Itself,
    /// A person, or whoever started this program, asked for it.
    Interrupted,
    /// It took longer than it may.
    Overdue,
}

impl Signals {
    /// From now on a signal ends nothing by itself.
    pub(super) fn watch() -> io::Result<Self> {
        Ok(Self {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
            hang_up: unix::signal(SignalKind::hangup())?,
        })
    }

    /// Does something unless one of them comes first: then it is left where it is, and the error is [`Interrupted`].
    pub(super) async fn guard<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            // A signal that has come already counts.
            biased;
            () = self.next() => Err(Interrupted.into()),
            result = work => result,
        }
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }

    /// Runs `command` on this terminal until it ends. Each signal to this program is passed on as an interrupt,
    /// the third as a kill; so is the passing of `limit`, after which the program has `limit` again to end.
    ///
    /// The program has a process group of its own: a Ctrl-C at the terminal goes to every process of the foreground
    /// group, and the program would get it twice, from the terminal and from here, and take it for two.
    pub(super) async fn run(&mut self, mut command: Command, limit: Duration) -> Result<Ended> {
        command.stdin(std::process::Stdio::null()).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().context("the program to scrape with cannot be started")?;
        let mut cause = Cause::Itself;
        let mut interrupts = 0;
        let mut deadline = Instant::now() + limit;
        loop {
            tokio::select! {
                status = child.wait() => {
                    let status = status.context("the program to scrape with cannot be waited for")?;
                    return Ok(Ended { status, cause });
                }
                () = self.next() => cause = Cause::Interrupted,
                () = tokio::time::sleep_until(deadline) => {
                    cause = Cause::Overdue;
                    deadline += limit;
                }
            }
            interrupts += 1;
            pass_on(&mut child, interrupts)?;
        }
    }
}

/// The first two interrupts are asked of the program; the third is done to it.
fn pass_on(child: &mut Child, interrupts: u32) -> Result<()> {
    if interrupts >= KILL_AT {
        return child.start_kill().context("the program to scrape with cannot be killed");
    }
    let Some(id) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else { return Ok(()) };
    kill_process(id, Signal::INT).context("the program to scrape with cannot be interrupted")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for anything a test does.
    const LONG: Duration = Duration::from_mins(1);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// Signals go to the whole test process, so the tests that send them must not overlap.
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    #[tokio::test]
    async fn a_program_that_ends_by_itself_keeps_its_exit_code() {
        let _alone = ALONE.lock().await;
        let ended = Signals::watch().unwrap().run(shell("exit 7"), LONG).await.unwrap();
        assert_eq!((ended.status.code(), ended.cause), (Some(7), Cause::Itself));
    }

    /// Runs a script that makes `ready` once its traps are set, and sends this process `count` interrupts, each after
    /// the script has said in a file of its own that it has seen the one before.
    async fn interrupt(script: &str, count: u32) -> Ended {
        let _alone = ALONE.lock().await;
        let folder = tempfile::tempdir().unwrap();
        let mut signals = Signals::watch().unwrap();
        let mut command = shell(script);
        command.current_dir(folder.path());
        let path = folder.path().to_owned();
        let sender = tokio::spawn(async move {
            for number in 0..count {
                while !path.join(format!("seen-{number}")).exists() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                kill_process(rustix::process::getpid(), Signal::INT).unwrap();
            }
        });
        let ended = signals.run(command, LONG).await.unwrap();
        sender.await.unwrap();
        ended
    }

    #[tokio::test]
    async fn one_interrupt_arrives_exactly_once() {
        // Ends with the number of interrupts it has seen half a second after the first.
        let script = "n=0; trap 'n=$((n+1))' INT; touch seen-0; while [ $n = 0 ]; do sleep 0.02; done; sleep 0.5; exit $n";
        let ended = interrupt(script, 1).await;
        assert_eq!((ended.status.code(), ended.cause), (Some(1), Cause::Interrupted));
    }

    #[tokio::test]
    async fn the_third_interrupt_kills_what_ignores_two() {
        let script =
            "n=0; trap 'n=$((n+1)); touch seen-$n' INT; touch seen-0; while true; do sleep 0.02; done";
        let ended = interrupt(script, 3).await;
        assert_eq!((ended.status.code(), ended.cause), (None, Cause::Interrupted));
    }

    #[tokio::test]
    async fn work_is_done_unless_a_signal_comes_first() {
        let _alone = ALONE.lock().await;
        let mut signals = Signals::watch().unwrap();
        assert_eq!(signals.guard(async { Ok(7) }).await.unwrap(), 7);
        kill_process(rustix::process::getpid(), Signal::INT).unwrap();
        let never = std::future::pending::<Result<()>>();
        assert!(signals.guard(never).await.unwrap_err().is::<Interrupted>());
    }

    #[tokio::test]
    async fn what_takes_too_long_is_interrupted() {
        let _alone = ALONE.lock().await;
        let mut signals = Signals::watch().unwrap();
        let ended = signals
            .run(shell("trap 'exit 5' INT; while true; do sleep 0.02; done"), Duration::from_millis(300));
        let ended = ended.await.unwrap();
        assert_eq!((ended.status.code(), ended.cause), (Some(5), Cause::Overdue));
    }
}
