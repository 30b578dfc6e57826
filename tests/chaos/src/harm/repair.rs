//! What must be mended, whatever happens: a fault is noted here before it is done.

use std::path::PathBuf;

use anyhow::Result;
use rustix::process::Signal;
use scrapefleet_e2e::{
    Gate, Nodes, Scene, Space,
    processes::{self, Process},
};

use super::{
    broker::forget_timeout, clock::Clock, cut::Cut, deadlock::Deadlock, disk, node::cordon, operator,
};

/// A node that every cluster has.
const ANY_NODE: &str = "node1";

/// One thing to mend.
#[derive(Debug)]
pub(super) enum Repair {
    /// Stopped processes go on.
    Continue(Vec<Process>),
    /// The threads of a process go on.
    Unlock(Deadlock),
    /// A node is brought back: the command, and the node.
    Node(&'static str, String),
    /// A node takes pods again.
    Uncordon(String),
    /// What fills a disk is removed from it.
    Empty(PathBuf),
    /// A process has the machine's time again.
    SetClock(Clock),
    /// The API server can be reached from this network again.
    Reconnect(Cut),
    /// Whatever of the cluster itself is not running is started.
    Cluster,
    /// No operator is told to die.
    Failpoint,
    /// The broker leaves consumers what they have.
    ConsumerTimeout,
    /// The site answers as it should.
    Site,
    /// The object store does.
    Gate,
}

/// What is not mended yet.
#[derive(Debug, Default)]
pub struct Repairs(Vec<Repair>);

impl Repairs {
    pub(super) fn owe(&mut self, repair: Repair) {
        self.0.push(repair);
    }

    /// Mends everything that is owed; tries all of it and tells the first that failed.
    pub(super) async fn mend(&mut self, space: &Space, scene: &Scene, gate: &Gate) -> Result<()> {
        let mut outcome = Ok(());
        for repair in std::mem::take(&mut self.0) {
            let mended = match repair {
                Repair::Continue(processes) => {
                    for process in processes {
                        // One that has been replaced meanwhile is not there any more, and is well.
                        let _ = processes::send(&process, Signal::CONT);
                    }
                    Ok(())
                }
                Repair::Unlock(deadlock) => {
                    drop(deadlock);
                    Ok(())
                }
                Repair::Node(command, node) => Nodes(space).command(command, &node).await,
                Repair::Empty(file) => disk::empty(&file),
                Repair::SetClock(clock) => clock.mend().await,
                Repair::Uncordon(node) => cordon(space, &node, false).await,
                Repair::Reconnect(cut) => cut.mend().await,
                // Of the cluster, `start` starts everything that is not there; a node that is stays as it is.
                Repair::Cluster => Nodes(space).command("start", ANY_NODE).await,
                Repair::Failpoint => operator::let_live(scene).await,
                Repair::ConsumerTimeout => forget_timeout(space).await,
                Repair::Site => scene.site.set_fault("none").await,
                Repair::Gate => gate.set_fault("none").await,
            };
            outcome = outcome.and(mended);
        }
        outcome
    }
}
