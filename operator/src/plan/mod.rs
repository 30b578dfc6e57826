//! From what was observed to what is to be done: a function of values.
//!
//! [`plan`] is asked again and again with what there is now. It remembers little ([`Memory`]), and nothing that it
//! could not do without: who restarts forgets it and disturbs no pod. What must not be forgotten stands on the pods.

mod abandoned;
mod exit;
#[cfg(test)]
pub(crate) mod fixture;
mod memory;
mod pod;
mod pool;
mod revision;
mod share;
mod target;
mod vacancy;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use scrapefleet_api::{ScrapeFleetSpec, queue::OnDelete};
pub use scrapefleet_queue::Depth;

use crate::Observed;
pub use abandoned::Abandoned;
pub use exit::{Blame, Exit, ExitReason};
pub use memory::Memory;
pub use pod::{
    Awaited, Browser, Hindrance, ObservedPod, Obstacle, Report, ReportedState, Role, Stage, Totals,
};
pub(crate) use revision::digest;
pub use revision::{Images, Revisions};
pub use share::Share;
pub use target::{Because, Hold, Target, is_site_down};
pub use vacancy::{Due, Vacancy};

use memory::Ends;
use pool::{Fit, Wanted};

/// A pod that is still there so long after it should have ended is on a node that is gone: nobody waits for it.
const GONE_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// What is known of a fleet at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What is wanted.
    pub spec: &'a ScrapeFleetSpec,
    /// What its metadata says.
    pub fleet: Fleet,
    /// What its pods are made of now.
    pub revisions: &'a Revisions,
    /// Why no pod may be made, if none may: something that pods need is missing.
    pub blocked: bool,
    /// Its pods.
    pub pods: &'a [ObservedPod],
    /// When pods that are being deleted should have ended, by uid.
    pub ends_by: &'a BTreeMap<String, Timestamp>,
    /// What waits in its queue.
    pub depth: &'a Observed<Depth>,
    /// The present time.
    pub now: Timestamp,
}

/// What a fleet's metadata says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and all combinations occur")]
pub struct Fleet {
    /// It is being deleted.
    pub deleting: bool,
    /// It carries our finalizer.
    pub has_finalizer: bool,
    /// A person asked to leave it alone.
    pub paused: bool,
    /// Its manifest is wrong in a way that only we can see: its pods go on with what they were made of.
    pub invalid: bool,
}

/// One thing to do. They are done in order; when one fails, those after it are left for the next pass.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Keep the fleet from vanishing before its bots have drained.
    AddFinalizer,
    /// Tell a pod what it may ask of the site.
    Deal {
        /// The pod.
        pod: String,
        /// Its share.
        share: Share,
    },
    /// Make a pod.
    Create {
        /// What it is for.
        role: Role,
        /// Its number.
        slot: u32,
        /// Ends in a row of this slot before it.
        failures: u32,
        /// Whether it is to find out if the site is back.
        probes_site: bool,
        /// Why.
        why: WhyCreate,
    },
    /// Delete a pod, which drains it where there is something to drain.
    Delete {
        /// Its name.
        pod: String,
        /// Its uid: another of the same name is left alone.
        uid: String,
        /// What it is for.
        role: Role,
        /// Why.
        why: WhyDelete,
    },
    /// Delete the fleet's queues.
    RemoveQueues,
    /// Let the fleet vanish.
    RemoveFinalizer,
}

/// Why a pod is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyCreate {
    /// There are too few.
    Needed,
    /// One of another revision is to go.
    Exchange,
    /// It takes the place of one that has ended.
    Replaces {
        /// The ended pod.
        pod: String,
        /// Its uid.
        uid: String,
        /// How it ended.
        exit: Exit,
    },
    /// It takes the place of one that is given up.
    Abandons {
        /// The pod that is given up.
        pod: String,
        /// Its uid.
        uid: String,
        /// Why.
        why: Abandoned,
        /// What it last said of itself, if it ever did.
        said: Option<String>,
    },
}

/// Why a pod is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WhyDelete {
    /// There are more than needed.
    NotNeeded,
    /// It is of another revision.
    Outdated,
    /// It has ended, and another is made in its place.
    Replaced,
    /// It has ended, and no other is needed in its place.
    Ended,
    /// It is given up.
    Abandoned(Abandoned),
}

/// What is to be done, and what was decided on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What to do, in order.
    pub actions: Vec<Action>,
    /// What to remember.
    pub memory: Memory,
    /// How many bots there should be.
    pub target: Target,
    /// How many watchers there should be.
    pub watchers: usize,
    /// Ended pods whose replacement waits, with the time it may be made.
    pub waiting: Vec<(String, Due)>,
    /// Whether pods of another revision are being exchanged.
    pub rolling: bool,
    /// The pod that said that it cannot work with the present manifest, if one did.
    pub refused_by: Option<String>,
}

/// What to do now.
#[must_use]
pub fn plan(situation: &Situation, memory: &Memory) -> Plan {
    let mut memory = memory.clone();
    let ends = memory.ends(situation.pods, situation.now).clone();
    let target = target::target(situation, &mut memory.needs, present(situation));
    let mut plan = Plan {
        actions: Vec::new(),
        memory,
        watchers: watchers(situation),
        target,
        waiting: Vec::new(),
        rolling: false,
        refused_by: refused_by(situation),
    };
    if situation.fleet.paused || (situation.fleet.invalid && !situation.fleet.deleting) {
        return plan;
    }
    if !situation.fleet.deleting && !situation.fleet.has_finalizer {
        plan.actions.push(Action::AddFinalizer);
    }
    let watchers = watchers_fit(situation, &ends, &mut plan);
    let bots = bots_fit(situation, &ends, &mut plan);
    for fit in [&watchers, &bots] {
        plan.waiting.extend(fit.waiting.iter().cloned());
        plan.rolling |= fit.rolling;
    }
    let (smaller, larger) = deals(situation, [&bots, &watchers]);
    plan.actions.extend(smaller);
    // A watcher first: without it there is nothing to hold. What goes frees room for what comes only when it is gone.
    for fit in [watchers, bots] {
        plan.actions.extend(fit.creates);
        plan.actions.extend(fit.deletes);
    }
    plan.actions.extend(larger);
    plan.actions.extend(farewell(situation));
    plan
}

/// The politeness share of a pod that is made now.
#[must_use]
pub fn share_of_new(situation: &Situation, plan: &Plan) -> Share {
    let made = |role| {
        let creates = plan.actions.iter();
        creates.filter(|action| matches!(action, Action::Create { role: of, .. } if *of == role)).count()
    };
    share_for(situation, made(Role::Bot), made(Role::Watcher))
}

fn of_role<'a>(situation: &Situation<'a>, role: Role) -> Vec<&'a ObservedPod> {
    situation.pods.iter().filter(|pod| pod.role == role).collect()
}

/// Bots that there are, and those that have ended and are to be replaced.
fn present(situation: &Situation) -> usize {
    let bots = of_role(situation, Role::Bot);
    bots.iter().filter(|pod| pod.is_live() || Vacancy::of(pod).is_some()).count()
}

fn watchers(situation: &Situation) -> usize {
    let works = !situation.fleet.deleting && !situation.spec.suspend;
    if works { 1 + usize::from(situation.spec.watcher.standby) } else { 0 }
}

/// The pod that said that it cannot work with the present manifest.
fn refused_by(situation: &Situation) -> Option<String> {
    let refuses = |pod: &&ObservedPod| {
        Vacancy::of(pod).is_some_and(|vacancy| {
            vacancy.exit.why.blame() == Blame::Manifest && pod.revision == situation.revisions.role(pod.role)
        })
    };
    situation.pods.iter().find(refuses).map(|pod| pod.name.clone())
}

fn bots_fit(situation: &Situation, ends: &Ends, plan: &mut Plan) -> Fit {
    let spec = situation.spec;
    let number = |number: i32| usize::try_from(number).unwrap_or(0);
    let surge = number(spec.rollout.max_surge);
    let wanted = Wanted {
        role: Role::Bot,
        count: plan.target.count,
        most: number(spec.bots.max) + surge,
        surge,
        unavailable: number(spec.rollout.max_unavailable),
        revision: &situation.revisions.bot,
        blocked: situation.blocked || plan.refused_by.is_some(),
        replacements: plan.memory.replacements(plan.target.count, situation.now),
        cooldown: spec.policies.breaker.cooldown.get(),
        ends,
    };
    fitted(situation, plan, wanted)
}

fn watchers_fit(situation: &Situation, ends: &Ends, plan: &mut Plan) -> Fit {
    let wanted = Wanted {
        role: Role::Watcher,
        count: plan.watchers,
        most: plan.watchers + 1,
        surge: 1,
        unavailable: 0,
        revision: &situation.revisions.watcher,
        blocked: situation.blocked || plan.refused_by.is_some(),
        replacements: plan.memory.replacements(plan.target.count, situation.now),
        cooldown: situation.spec.policies.breaker.cooldown.get(),
        ends,
    };
    fitted(situation, plan, wanted)
}

fn fitted(situation: &Situation, plan: &mut Plan, wanted: Wanted) -> Fit {
    let pods = of_role(situation, wanted.role);
    let draining =
        pods.iter().filter(|pod| pod.is_draining(situation.now) && !is_late(situation, pod)).count();
    let mut going =
        abandoned::abandoned(situation.pods, &situation.spec.policies.abandonment.liveness, situation.now);
    going.retain(|(pod, _)| pod.role == wanted.role);
    let fit = pool::fit(&pods, &going, draining, wanted, situation.now);
    plan.memory.replace(fit.replaced, situation.now);
    fit
}

/// The share of each pod when so many bots and watchers are made.
fn share_for(situation: &Situation, bots: usize, watchers: usize) -> Share {
    let there = |role| of_role(situation, role).into_iter().filter(|pod| pod.asks(situation.now)).count();
    let (bots, watchers) = (bots + there(Role::Bot), watchers + there(Role::Watcher));
    share::share_of(&situation.spec.politeness, situation.spec.bots.holds_per_bot, bots, watchers)
}

/// New shares for pods that have another one: those that lose something before any pod is made, the others at the end. One
/// that is fenced is left alone but for what it must give up.
fn deals(situation: &Situation, [bots, watchers]: [&Fit; 2]) -> (Vec<Action>, Vec<Action>) {
    let share = share_for(situation, bots.creates.len(), watchers.creates.len());
    let leaves = |pod: &ObservedPod| {
        let mut deletes = bots.deletes.iter().chain(&watchers.deletes);
        deletes.any(|action| matches!(action, Action::Delete { uid, .. } if *uid == pod.uid))
    };
    let dealt = situation.pods.iter().filter(|pod| pod.asks(situation.now) && pod.share != Some(share));
    let (smaller, larger): (Vec<_>, Vec<_>) = dealt.partition(|pod| {
        pod.share.is_none_or(|had| {
            had.connections_per_minute > share.connections_per_minute
                || had.held > share.held
                || had.actions_per_second > share.actions_per_second
        })
    });
    let deal = |pods: Vec<&ObservedPod>| {
        pods.into_iter().map(|pod| Action::Deal { pod: pod.name.clone(), share }).collect()
    };
    (deal(smaller), deal(larger.into_iter().filter(|pod| pod.is_live() && !leaves(pod)).collect()))
}

/// Whether a pod should have ended long ago and is still there: nobody waits for it any more.
pub(crate) fn is_late(situation: &Situation, pod: &ObservedPod) -> bool {
    let gone_by = situation.ends_by.get(&pod.uid).and_then(|at| at.checked_add(GONE_AFTER).ok());
    pod.terminating && gone_by.is_some_and(|at| situation.now > at)
}

/// The last things to do for a fleet that is being deleted, once its pods are gone.
fn farewell(situation: &Situation) -> Vec<Action> {
    let Fleet { deleting: true, has_finalizer: true, .. } = situation.fleet else { return Vec::new() };
    if situation.pods.iter().any(|pod| !pod.fenced && !is_late(situation, pod)) {
        return Vec::new();
    }
    let queue = situation.spec.queue.rabbitmq.as_ref();
    let remove = queue.is_some_and(|queue| queue.on_delete == OnDelete::Delete);
    remove.then_some(Action::RemoveQueues).into_iter().chain([Action::RemoveFinalizer]).collect()
}
