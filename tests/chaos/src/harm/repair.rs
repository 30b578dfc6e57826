//! What must be mended, whatever happens: a fault is noted here before it is done.

use anyhow::Result;
use rustix::process::Signal;
use scrapefleet_e2e::{
    Nodes, Scene, Space,
    processes::{self, Process},
};

/// One thing to mend.
#[derive(Debug, Clone)]
pub(super) enum Repair {
    /// Stopped processes go on.
    Continue(Vec<Process>),
    /// A node is brought back: the command, and the node.
    Node(&'static str, String),
    /// The site answers as it should.
    Site,
}

/// What is not mended yet.
#[derive(Debug, Default)]
pub struct Repairs(Vec<Repair>);

impl Repairs {
    pub(super) fn owe(&mut self, repair: Repair) {
        self.0.push(repair);
    }

    /// Mends everything that is owed; tries all of it and tells the first that failed.
    pub async fn mend(&mut self, space: &Space, scene: &Scene) -> Result<()> {
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
                Repair::Node(command, node) => Nodes(space).command(command, &node).await,
                Repair::Site => scene.site.set_fault("none").await,
            };
            outcome = outcome.and(mended);
        }
        outcome
    }
}
