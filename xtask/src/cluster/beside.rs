//! Working beside something that must not notice it.

use anyhow::{Context, Result, bail};
use rustix::process::{Signal, kill_current_process_group, nice, set_parent_process_death_signal, setsid};
use tokio::signal::unix::{SignalKind, signal};

/// The least that a process can ask of the scheduler.
const LEAST: i32 = 19;

/// From now on this process and those that it starts get the processor time that nobody else wants. They are a process group
/// of their own, and this process ends with the one that started it.
pub(crate) fn give_way() -> Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))
        .context("follow the process that started this one")?;
    setsid().context("become a session: this has to be started by another program")?;
    nice(LEAST).context("lower the priority")?;
    // Where the kernel shares time out by session first, the session gives way as well; others have no such file.
    match std::fs::write("/proc/self/autogroup", LEAST.to_string()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("lower the priority of the session")
        }
        _ => Ok(()),
    }
}

/// Does the work; asked to end meanwhile, ends everything that it has started, and this process.
pub(crate) async fn all_or_nothing(work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    tokio::select! {
        done = work => done,
        _ = terminate.recv() => {
            kill_current_process_group(Signal::KILL).context("end what was started")?;
            bail!("ended")
        }
    }
}
