//! What the guard does from start to end.

use std::{
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    process::{Command, Stdio},
};

use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, wait};
use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{
    ANNOUNCEMENT, Orders,
    ending::{LEAD_TO_FOLDER, end},
};
use crate::process_tree::descendants;

/// Starts the driver, waits until it or the parent is gone, and leaves nothing behind.
pub(super) fn run(orders: &Orders) -> Result<(), String> {
    set_child_subreaper(Some(getpid())).map_err(|e| format!("cannot adopt orphans: {e}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(|e| format!("cannot start: {e}"))?;
    let watched = runtime.block_on(watch(orders));
    let ended = end(&orders.folder, || {
        while reap().is_some() {}
        descendants(getpid().as_raw_nonzero().get())
    });
    watched.and(ended)
}

/// Starts the driver and waits until it or the parent is gone.
async fn watch(orders: &Orders) -> Result<(), String> {
    let deaf = |e| format!("cannot listen to signals: {e}");
    let mut child = signal(SignalKind::child()).map_err(deaf)?;
    let mut orders_to_end = EndSignals::listen().map_err(deaf)?;
    let mut parent = parent_pipe().map_err(|e| format!("standard input is no pipe: {e}"))?;
    let driver = start(orders)?;
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            read = parent.read(&mut ignored) => if !matches!(read, Ok(n) if n > 0) { return Ok(()) },
            _ = child.recv() => while let Some(pid) = reap() {
                if pid == driver { return Ok(()) }
            },
            () = orders_to_end.any() => return Ok(()),
        }
    }
}

/// The pipe whose other end the parent holds: it ends when the parent does.
fn parent_pipe() -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)
}

/// Starts the driver in a process group of its own and says which process it is.
fn start(orders: &Orders) -> Result<Pid, String> {
    let mut command = Command::new(&orders.program);
    command.args(&orders.args).stdin(Stdio::null()).process_group(0);
    for variable in LEAD_TO_FOLDER {
        command.env(variable, &orders.folder);
    }
    let child = command.spawn().map_err(|e| format!("cannot start {}: {e}", orders.program.display()))?;
    let mut out = io::stdout();
    // A parent that is gone is seen by its pipe.
    let _ = writeln!(out, "{ANNOUNCEMENT}{}", child.id()).and_then(|()| out.flush());
    Ok(Pid::from_child(&child))
}

/// Buries one dead child, own or adopted.
fn reap() -> Option<Pid> {
    wait(WaitOptions::NOHANG).ok().flatten().map(|(pid, _)| pid)
}

/// The signals a guard must not die of before its work is done.
struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl EndSignals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when one of them comes.
    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
