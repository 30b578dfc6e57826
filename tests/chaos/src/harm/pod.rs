//! Harm to a bot: its process, its memory, or its pod.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use rustix::process::Signal;
use scrapefleet_e2e::processes;
use scrapefleet_policy::within;

use super::{CALL_WITHIN, Ground, deadlock::Deadlock, repair::Repair};
use crate::{Scenario, effect::Fault};

/// The program of a bot and of a watcher.
pub(super) const PROGRAM: &str = "scrapefleet";
/// Its thread that watches all others.
const WATCHDOG: &str = "watchdog";

impl Ground<'_> {
    pub(super) async fn strike_bot(&mut self, scenario: Scenario) -> Result<Fault> {
        let (uid, name) = self.choose_bot()?;
        let pod = self.pod(&name).await?;
        let pods = self.space.api::<Pod>();
        let fault = self.fault(scenario, &[uid]);
        match scenario {
            Scenario::DeadBot => _ = processes::signal(&pod, PROGRAM, Signal::KILL)?,
            Scenario::HungBot => _ = processes::signal(&pod, PROGRAM, Signal::STOP)?,
            Scenario::BotOutOfMemory => {
                processes::run_out_of_memory(&processes::one(&pod, PROGRAM)?).await?;
            }
            Scenario::DeadlockedBot => {
                let deadlock = Deadlock::of(&processes::one(&pod, PROGRAM)?, WATCHDOG)?;
                self.repairs.owe(Repair::Unlock(deadlock));
            }
            Scenario::EvictedPod => self.evict(&name).await?,
            _ => {
                let how = DeleteParams::default();
                within(CALL_WITHIN, "delete a pod", pods.delete(&name, &how)).await??;
            }
        }
        Ok(fault)
    }
}
