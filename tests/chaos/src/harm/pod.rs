//! Harm to a bot: its process, or its pod.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams};
use rustix::process::Signal;
use scrapefleet_e2e::processes;
use scrapefleet_policy::within;

use super::{CALL_WITHIN, Ground};
use crate::{Scenario, effect::Fault};

/// The program of a bot.
const PROGRAM: &str = "scrapefleet";

impl Ground<'_> {
    pub(super) async fn strike_bot(&mut self, scenario: Scenario) -> Result<Fault> {
        let (uid, name) = self.choose_bot()?;
        let pod = self.pod(&name).await?;
        let pods = self.space.api::<Pod>();
        let fault = self.fault(scenario, &[uid]);
        match scenario {
            Scenario::DeadBot => _ = processes::signal(&pod, PROGRAM, Signal::KILL)?,
            Scenario::HungBot => _ = processes::signal(&pod, PROGRAM, Signal::STOP)?,
            Scenario::EvictedPod => {
                let how = EvictParams::default();
                within(CALL_WITHIN, "evict a pod", pods.evict(&name, &how)).await??;
            }
            _ => {
                let how = DeleteParams::default();
                within(CALL_WITHIN, "delete a pod", pods.delete(&name, &how)).await??;
            }
        }
        Ok(fault)
    }
}
