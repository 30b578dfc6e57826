//! A node's disk without room.

use std::{fs::File, io::ErrorKind, path::Path, time::Duration};

use anyhow::{Context, Result};
use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    io::Errno,
};
use scrapefleet_e2e::Nodes;
use scrapefleet_policy::within;

use super::{Ground, repair::Repair};
use crate::{Scenario, effect::Fault};

/// The file that takes all room.
const FILLER: &str = "no-room-left";
/// The least that is asked for: less than this is no room.
const LEAST: u64 = 4096;
/// How long a node may take to take notice of its disk: it looks every ten seconds, at what is some seconds old.
const NOTICED_WITHIN: Duration = Duration::from_mins(1);
/// How long it may take until a bot has to go: one pod goes at a time, and not the bots first.
const EVICTED_WITHIN: Duration = Duration::from_mins(3);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(200);

impl Ground<'_> {
    /// Leaves no room on the disk that a node has for its pods. The node takes pods away from it, one after the other, for as long
    /// as there is none. The fault begins for the fleet when the first bot has to go, and strikes whatever of the fleet does from
    /// then on.
    pub(super) async fn fill_disk(&mut self, node: &str, pods: &[String]) -> Result<Fault> {
        let file = Nodes::disk(node)?.join(FILLER);
        self.repairs.owe(Repair::Empty(file.clone()));
        fill(&file)?;
        Nodes(self.space).await_full(node, true, NOTICED_WITHIN).await?;
        let evicted = within(EVICTED_WITHIN, "wait until a bot has to go", self.until_evicted(pods)).await;
        let fault = self.outlast(evicted?).await?;
        // Until then it may take another.
        Nodes(self.space).await_full(node, false, NOTICED_WITHIN).await?;
        Ok(self.of_evicted(fault))
    }

    /// The fault as it is a moment before a bot of these pods has to go.
    async fn until_evicted(&self, pods: &[String]) -> Fault {
        let mut fault = self.fault(Scenario::DiskFull, pods);
        loop {
            tokio::time::sleep(LOOK).await;
            let (gone, answer) = {
                let seen = self.observer.seen();
                let of = || pods.iter().filter_map(|uid| seen.pods.get(uid)).filter(|pod| pod.is_bot());
                (of().any(|pod| pod.ended.is_some()), of().all(|pod| pod.last().is_some()))
            };
            if gone {
                return fault;
            }
            // What a bot had open is known only while it answers.
            if answer {
                fault = self.fault(Scenario::DiskFull, pods);
            }
        }
    }

    /// The fault without the pods that could stay, whose bots hold what they held, and those that were gone before.
    fn of_evicted(&self, mut fault: Fault) -> Fault {
        let seen = self.observer.seen();
        let begun = fault.at;
        let pod = |uid: &String| seen.pods.get(uid).filter(|pod| pod.ended.is_some_and(|at| at >= begun));
        fault.victims.retain(|uid, _| pod(uid).is_some());
        let said = fault.victims.keys().filter_map(|uid| pod(uid)?.said_at(fault.at));
        fault.items = said.flat_map(|said| said.open().map(str::to_owned)).collect();
        fault
    }
}

/// Takes all room that there is where this file is.
fn fill(file: &Path) -> Result<()> {
    let taken = File::create(file).with_context(|| format!("make {}", file.display()))?;
    let room = statvfs(file)?;
    let (mut at, mut step) = (0, room.f_bavail * room.f_frsize);
    while step >= LEAST {
        match fallocate(&taken, FallocateFlags::empty(), at, step) {
            Ok(()) => at += step,
            // A part of it may be taken all the same.
            Err(Errno::NOSPC) => step /= 2,
            Err(error) => return Err(error).with_context(|| format!("fill {}", file.display())),
        }
    }
    Ok(())
}

/// Gives it back.
pub(super) fn empty(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", file.display()))
        }
        _ => Ok(()),
    }
}
