//! Doing harm, and mending it.

mod broker;
mod browser;
mod clock;
mod cut;
mod deadlock;
mod disk;
mod item;
mod node;
mod operator;
mod pod;
mod repair;
mod service;
mod vdso;
mod watcher;

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::EvictParams;
use scrapefleet_e2e::{Gate, Scene, Space};
use scrapefleet_policy::within;

pub use repair::Repairs;

use crate::{Scenario, effect::Fault, history::Said, observer::Observer, scenario::Strikes};

/// How long one call of the API server or of a service may take.
const CALL_WITHIN: Duration = Duration::from_secs(15);

/// Why a fault cannot be done to the pods there are, as they are now. It harmed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NothingToStrike(pub String);

impl std::fmt::Display for NothingToStrike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NothingToStrike {}

/// What harm is done to.
pub struct Ground<'a> {
    /// The namespace of the fleet.
    pub space: &'a Space,
    /// The fleet, its site, its broker, its bucket.
    pub scene: &'a Scene,
    /// The fleet's way to its bucket.
    pub gate: &'a Gate,
    /// Knows the fleet's pods.
    pub observer: &'a Observer,
    /// Chooses among them.
    pub rng: fastrand::Rng,
    /// Whether each fault lasts no longer than it has to.
    pub brief: bool,
    /// What must be mended, whatever happens.
    pub repairs: Repairs,
}

impl Ground<'_> {
    /// Does a fault; when it lasts, waits and mends it.
    pub async fn inflict(&mut self, scenario: Scenario) -> Result<Fault> {
        let done = match scenario.strikes() {
            Strikes::Browser => self.strike_browser(scenario).await,
            Strikes::Bot => self.strike_bot(scenario).await,
            Strikes::Node => self.strike_node(scenario).await,
            Strikes::Watcher => self.strike_watcher(scenario).await,
            Strikes::Service => self.strike_service(scenario).await,
            Strikes::Item => self.strike_item(scenario).await,
        };
        done.with_context(|| format!("the fault {} cannot be done", scenario.name()))
    }

    /// How long a fault lasts here.
    #[must_use]
    pub fn lasts(&self, scenario: Scenario) -> Duration {
        if self.brief { scenario.lasts_briefly() } else { scenario.lasts() }
    }

    /// A pod of the fleet as the API server has it.
    async fn pod(&self, name: &str) -> Result<Pod> {
        Ok(within(CALL_WITHIN, "read a pod", self.space.api::<Pod>().get(name)).await??)
    }

    /// Asks a pod of the fleet to make room.
    async fn evict(&self, name: &str) -> Result<()> {
        let (pods, how) = (self.space.api::<Pod>(), EvictParams::default());
        within(CALL_WITHIN, "evict a pod", pods.evict(name, &how)).await??;
        Ok(())
    }

    /// The uid and the name of a live bot, one that holds something where there is one.
    fn choose_bot(&mut self) -> Result<(String, String)> {
        let bots: Vec<_> = {
            let seen = self.observer.seen();
            let answers = seen.live("bot").filter_map(|(uid, pod)| Some((uid, pod, pod.last()?)));
            answers.map(|(uid, pod, said)| (said.open().count(), uid.clone(), pod.name.clone())).collect()
        };
        let holding: Vec<_> = bots.iter().filter(|(open, ..)| *open > 0).collect();
        let chosen = self.rng.choice(holding).or_else(|| bots.first());
        let (_, uid, name) = chosen.ok_or_else(|| NothingToStrike("no bot answers".to_owned()))?;
        Ok((uid.clone(), name.clone()))
    }

    /// Mends everything that is to be mended.
    pub async fn mend(&mut self) -> Result<()> {
        self.repairs.mend(self.space, self.scene, self.gate).await
    }

    /// Waits until the fault has lasted, and mends it.
    async fn outlast(&mut self, mut fault: Fault) -> Result<Fault> {
        tokio::time::sleep(self.lasts(fault.scenario)).await;
        self.mend().await?;
        fault.mended = Some(crate::observer::now());
        Ok(fault)
    }

    /// A fault done now to all that is open anywhere, but to no pod.
    fn fault_of_all(&self, scenario: Scenario) -> Fault {
        let mut fault = self.fault(scenario, &[]);
        let seen = self.observer.seen();
        let said = seen.live("bot").filter_map(|(_, pod)| pod.last());
        fault.items = said.flat_map(|said| said.open().map(str::to_owned)).collect();
        fault
    }

    /// A fault done now to these pods.
    fn fault(&self, scenario: Scenario, victims: &[String]) -> Fault {
        let at = crate::observer::now();
        let seen = self.observer.seen();
        let of = |uid: &String| seen.pods.get(uid).and_then(|pod| pod.last());
        let items = victims.iter().filter_map(of).flat_map(|said| said.open().map(str::to_owned)).collect();
        let victims =
            victims.iter().map(|uid| (uid.clone(), of(uid).map_or(0, |said| said.browser.abandoned)));
        let count = |role, is: &dyn Fn(&Said) -> bool| {
            seen.live(role).filter(|(_, pod)| pod.last().is_some_and(is)).count()
        };
        Fault {
            scenario,
            at,
            mended: None,
            noticed: None,
            buried: None,
            victims: victims.collect(),
            items,
            bots: count("bot", &Said::works),
            watchers: count("watcher", &Said::sees_the_list),
            wrong: Vec::new(),
            took: Duration::ZERO,
        }
    }
}
