//! Harm to watchers.

use anyhow::Result;
use rustix::process::Signal;
use scrapefleet_e2e::processes;

use super::{Ground, NothingToStrike, browser, pod::PROGRAM};
use crate::{Scenario, effect::Fault};

impl Ground<'_> {
    pub(super) async fn strike_watcher(&mut self, scenario: Scenario) -> Result<Fault> {
        if scenario == Scenario::WatchersKilled {
            return self.kill_watchers().await;
        }
        let (uid, name) = {
            let seen = self.observer.seen();
            let active = seen.live("watcher").find(|(_, pod)| pod.last().is_some_and(|said| said.active));
            let none = || NothingToStrike("no watcher says that it is the active one".to_owned());
            let (uid, pod) = active.ok_or_else(none)?;
            (uid.clone(), pod.name.clone())
        };
        let pod = self.pod(&name).await?;
        let fault = self.fault(scenario, &[uid]);
        match scenario {
            Scenario::WatcherKilled => _ = processes::signal(&pod, PROGRAM, Signal::KILL)?,
            Scenario::WatcherStopped => _ = processes::signal(&pod, PROGRAM, Signal::STOP)?,
            _ => {
                let (chrome, stop) = browser::target(Scenario::HungChrome, &pod)?;
                processes::send(&chrome, stop)?;
            }
        }
        Ok(fault)
    }

    async fn kill_watchers(&mut self) -> Result<Fault> {
        let watchers: Vec<(String, String)> = {
            let seen = self.observer.seen();
            seen.live("watcher").map(|(uid, pod)| (uid.clone(), pod.name.clone())).collect()
        };
        let uids: Vec<_> = watchers.iter().map(|(uid, _)| uid.clone()).collect();
        let mut pods = Vec::new();
        for (_, name) in &watchers {
            pods.push(self.pod(name).await?);
        }
        let fault = self.fault(Scenario::WatchersKilled, &uids);
        for pod in &pods {
            processes::signal(pod, PROGRAM, Signal::KILL)?;
        }
        Ok(fault)
    }
}
