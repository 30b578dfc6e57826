//! Harm to operators: the leader is killed, at any moment or at each step of what it does, or cut off.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use rustix::process::Signal;
use scrapefleet_e2e::{Scene, Space, operator, processes};
use serde_json::{Value, json};

use super::{Ground, cut::Cut, pod::PROGRAM, repair::Repair};
use crate::{Scenario, effect::Fault, history::Said, observer};

/// The program of an operator.
const OPERATOR: &str = "scrapefleet-operator";
/// How long another operator may take to lead.
const LED_WITHIN: Duration = Duration::from_secs(90);
/// How long it may take until a bot that was killed is seen and its replacement is at the step at which the leader dies.
const DIES_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take until there are as many bots as before.
const COMPLETE_WITHIN: Duration = Duration::from_mins(2);

/// The annotation of a fleet that says which operator is to die and at which step, and the steps: see `failpoint` of the
/// operator, which only a debug build has.
const DIE_AT: &str = "scrapefleet.io/die-at";
const STEPS: [&str; 7] = [
    "planned",
    "before-create",
    "after-create",
    "before-delete",
    "after-delete",
    "before-status",
    "after-status",
];
/// Those after which something else is left behind than after the one before: a replacement beside the pod that ended, the
/// replacement alone, and a status that tells of it.
const BRIEF_STEPS: [&str; 3] = ["after-create", "after-delete", "after-status"];

impl Ground<'_> {
    pub(super) async fn kill_operator(&self, scenario: Scenario) -> Result<Fault> {
        let (system, leader, pod) = self.leader().await?;
        let mut fault = self.fault(scenario, &[]);
        processes::signal(&pod, OPERATOR, Signal::KILL)?;
        fault.noticed = Some(another_leads(&system, &leader).await?);
        operator::replace(&system, &pod).await?;
        Ok(fault)
    }

    pub(super) async fn cut_leader(&mut self, scenario: Scenario) -> Result<Fault> {
        let (system, leader, pod) = self.leader().await?;
        let cut = Cut::of(&processes::one(&pod, OPERATOR)?)?;
        self.repairs.owe(Repair::Reconnect(cut.clone()));
        let fault = self.fault(scenario, &[]);
        cut.make().await?;
        let noticed = Some(another_leads(&system, &leader).await?);
        let fault = self.outlast(Fault { noticed, ..fault }).await?;
        operator::replace(&system, &pod).await?;
        Ok(fault)
    }

    /// Once for each step. The longest time in which nobody led is what is told.
    pub(super) async fn kill_operator_midway(&mut self, scenario: Scenario) -> Result<Fault> {
        let steps: &[&str] = if self.brief { &BRIEF_STEPS } else { &STEPS };
        let mut fault = self.fault(scenario, &[]);
        self.repairs.owe(Repair::Failpoint);
        let mut longest = SignedDuration::ZERO;
        for step in steps {
            let killed = self.kill_leader_at(step, fault.bots).await;
            let (bot, headless) = killed.with_context(|| format!("the step {step}"))?;
            fault.victims.insert(bot, 0);
            longest = longest.max(headless);
        }
        self.mend().await?;
        fault.mended = Some(observer::now());
        fault.noticed = Some(fault.at + longest);
        let surplus = self.surplus(&fault);
        fault.wrong.extend(surplus);
        Ok(fault)
    }

    /// Kills a bot, and the leader at a step of what it does then: the uid of the bot, and how long nobody led.
    async fn kill_leader_at(&mut self, step: &str, bots: usize) -> Result<(String, SignedDuration)> {
        let (system, leader, pod) = self.leader().await?;
        let process = processes::one(&pod, OPERATOR)?;
        let name = pod.metadata.name.as_deref().context("a pod without a name")?;
        self.scene.fleet.patch(&death(Some(&format!("{name}:{step}")))).await?;
        let (uid, bot) = self.choose_bot()?;
        processes::signal(&self.pod(&bot).await?, PROGRAM, Signal::KILL)?;
        let is_dead = async || Ok((!processes::is_there(&process)).then_some(()));
        self.space.until("the leader dies", DIES_WITHIN, is_dead).await?;
        let died = observer::now();
        let led = another_leads(&system, &leader).await?;
        operator::replace(&system, &pod).await?;
        let are_complete = async || {
            let seen = self.observer.seen();
            let working = seen.live("bot").filter(|(_, pod)| pod.last().is_some_and(Said::works));
            Ok((working.count() >= bots).then_some(()))
        };
        self.space.until("as many bots work as before", COMPLETE_WITHIN, are_complete).await?;
        Ok((uid, led.duration_since(died)))
    }

    /// Who leads, while another is ready to.
    async fn leader(&self) -> Result<(Space, String, Pod)> {
        let system = operator::space_of(self.space);
        operator::stand_ready(&system).await?;
        let (leader, pod) = operator::leading_pod(&system).await?;
        Ok((system, leader, pod))
    }

    /// What is not one bot for each that was killed.
    fn surplus(&self, fault: &Fault) -> Option<String> {
        let seen = self.observer.seen();
        let made = seen.pods.values().filter(|pod| pod.is_bot() && pod.from >= fault.at).count();
        let killed = fault.victims.len();
        (made != killed).then(|| format!("bots made: {made}, for {killed} that were killed"))
    }
}

/// No operator is to die any more.
pub(super) async fn let_live(scene: &Scene) -> Result<()> {
    scene.fleet.patch(&death(None)).await
}

/// The change of a fleet that has an operator die, or none.
fn death(at: Option<&str>) -> Value {
    json!({ "metadata": { "annotations": { DIE_AT: at } } })
}

/// Waits until another than `leader` leads, and says when.
async fn another_leads(system: &Space, leader: &str) -> Result<Timestamp> {
    let other = async || Ok((operator::leader(system).await? != leader).then_some(()));
    system.until("another operator leads", LED_WITHIN, other).await?;
    Ok(observer::now())
}
