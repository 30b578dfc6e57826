//! The pods of one role: what to make and what to delete so that there are as many as wanted, of the right revision.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Abandoned, Action, Blame, Due, ObservedPod, Report, ReportedState, Role, Vacancy, WhyCreate, WhyDelete,
    memory::Ends,
};

/// The most pods made in one pass; the next pass is soon.
const PER_PASS: usize = 50;

/// What a pool should be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub role: Role,
    /// How many pods.
    pub count: usize,
    /// The most pods there may ever be, those that drain included.
    pub most: usize,
    /// How many more than `count` there may be while pods are exchanged, those that drain included.
    pub surge: usize,
    /// How many fewer than `count` may be ready meanwhile.
    pub unavailable: usize,
    /// What new pods are made of.
    pub revision: &'a str,
    /// Whether none may be made.
    pub blocked: bool,
    /// How many ended pods may be replaced in this pass.
    pub replacements: usize,
    /// How long a site that is unavailable is left alone at first.
    pub cooldown: Duration,
    /// When each end was first seen.
    pub ends: &'a Ends,
}

/// What a pool comes to.
#[derive(Debug, Default)]
pub(super) struct Fit {
    pub creates: Vec<Action>,
    pub deletes: Vec<Action>,
    /// How many pods are replaced: those that have ended and those that are given up.
    pub replaced: usize,
    /// Names of ended pods whose replacement has to wait, with the time it may be made.
    pub waiting: Vec<(String, Due)>,
    /// Whether pods of another revision are being exchanged.
    pub rolling: bool,
}

/// What to make and to delete. `abandoned` of the pods are given up, so many as may be replaced now; `draining` are on
/// their way out and still take room.
pub(super) fn fit<'a>(
    pods: &[&'a ObservedPod],
    abandoned: &[(&'a ObservedPod, Abandoned)],
    draining: usize,
    wanted: Wanted<'a>,
    now: Timestamp,
) -> Fit {
    // Where nothing may be made in its place, what is there is left alone.
    let most = if wanted.blocked || wanted.count == 0 { 0 } else { wanted.replacements };
    let abandoned = abandoned[..abandoned.len().min(most)].to_vec();
    let pool = Pool { draining, ..Pool::sort(pods, abandoned, wanted, now) };
    let mut fit = Fit { rolling: !pool.outdated.is_empty() && wanted.count > 0, ..Fit::default() };
    pool.fill(&mut fit);
    pool.shrink(&mut fit);
    fit
}

struct Pool<'a> {
    wanted: Wanted<'a>,
    now: Timestamp,
    /// Slots that some pod has, in whatever state.
    taken: BTreeSet<u32>,
    /// Live pods of the wanted revision.
    current: Vec<&'a ObservedPod>,
    /// Live pods of another.
    outdated: Vec<&'a ObservedPod>,
    draining: usize,
    /// Live pods that are given up, which are in neither.
    abandoned: Vec<(&'a ObservedPod, Abandoned)>,
    /// The last ended pod of each slot where all have ended, soonest due first.
    vacancies: Vec<(Due, Vacancy<'a>)>,
    /// Ended pods that another has followed.
    followed: Vec<&'a ObservedPod>,
}

impl<'a> Pool<'a> {
    fn sort(
        pods: &[&'a ObservedPod],
        abandoned: Vec<(&'a ObservedPod, Abandoned)>,
        wanted: Wanted<'a>,
        now: Timestamp,
    ) -> Self {
        let live = || pods.iter().copied().filter(|pod| pod.is_live());
        let stays = |pod: &&ObservedPod| !abandoned.iter().any(|(going, _)| going.uid == pod.uid);
        let (current, outdated): (Vec<_>, Vec<_>) =
            live().filter(stays).partition(|pod| pod.revision == wanted.revision);
        // Also one that is fenced or on its way out has followed whoever ended in its slot.
        let filled: BTreeSet<u32> =
            pods.iter().filter(|pod| pod.exit().is_none()).map(|pod| pod.slot).collect();
        // By our own clock: those of two nodes tell nothing of which came later.
        let seen = |vacancy: &Vacancy| wanted.ends.get(&vacancy.pod.uid).copied().unwrap_or(now);
        let age = |vacancy: &Vacancy<'a>| (seen(vacancy), vacancy.exit.at, &vacancy.pod.uid);
        let mut last: BTreeMap<u32, Vacancy> = BTreeMap::new();
        let mut followed = Vec::new();
        for vacancy in pods.iter().copied().filter_map(Vacancy::of) {
            if filled.contains(&vacancy.pod.slot) {
                followed.push(vacancy.pod);
                continue;
            }
            match last.get(&vacancy.pod.slot) {
                Some(other) if age(other) > age(&vacancy) => followed.push(vacancy.pod),
                _ => followed.extend(last.insert(vacancy.pod.slot, vacancy).map(|earlier| earlier.pod)),
            }
        }
        let due = |vacancy: &Vacancy| vacancy.due(wanted.revision, wanted.cooldown, seen(vacancy));
        let mut vacancies: Vec<_> = last.into_values().map(|vacancy| (due(&vacancy), vacancy)).collect();
        vacancies.sort_by_key(|(due, vacancy)| (*due, vacancy.pod.slot));
        Self {
            wanted,
            now,
            taken: pods.iter().map(|pod| pod.slot).collect(),
            current,
            outdated,
            draining: 0,
            abandoned,
            vacancies,
            followed,
        }
    }

    fn live(&self) -> usize {
        self.current.len() + self.outdated.len()
    }

    /// Live pods that may be added: those that lack, and while pods are exchanged, those that go first.
    fn lacking(&self) -> usize {
        let lacking = self.wanted.count.saturating_sub(self.live());
        if self.outdated.is_empty() {
            return lacking;
        }
        let ceiling = self.wanted.count + self.wanted.surge;
        let surge = ceiling.saturating_sub(self.live() + self.draining);
        lacking.max(surge.min(self.wanted.count.saturating_sub(self.current.len())))
    }

    /// Pods for which there is room now.
    fn room(&self) -> usize {
        let exchanged =
            if self.outdated.is_empty() { usize::MAX } else { self.wanted.count + self.wanted.surge };
        self.wanted.most.min(exchanged).saturating_sub(self.live() + self.draining).min(PER_PASS)
    }

    fn fill(&self, fit: &mut Fit) {
        let lacking = self.lacking();
        fit.replaced += self.abandoned.len();
        fit.deletes.extend(self.abandoned.iter().map(|(pod, why)| delete(pod, WhyDelete::Abandoned(*why))));
        let mut room = if self.wanted.blocked { 0 } else { self.room() };
        let kept = lacking.min(self.vacancies.len());
        let mut site = self.site_gate();
        for (due, vacancy) in &self.vacancies[..kept] {
            let is_due = matches!(due, Due::From(at) if *at <= self.now);
            let of_site = vacancy.exit.why.blame() == Blame::Site;
            let passes = is_due && room > 0 && fit.replaced < self.wanted.replacements;
            if !passes || (of_site && site == Gate::Closed) {
                fit.waiting.push((vacancy.pod.name.clone(), *due));
                continue;
            }
            let probes_site = of_site && site == Gate::One;
            if probes_site {
                site = Gate::Closed;
            }
            fit.creates.push(self.replace(vacancy, probes_site));
            fit.deletes.push(delete(vacancy.pod, WhyDelete::Replaced));
            fit.replaced += 1;
            room -= 1;
        }
        let slots = (0..).filter(|slot| !self.taken.contains(slot));
        let mut given_up = self.abandoned.iter();
        for slot in slots.take(room.min(lacking - kept)) {
            let made = given_up
                .next()
                .map_or_else(|| self.create(slot), |(pod, why)| self.make_up_for(slot, pod, *why));
            fit.creates.push(made);
        }
    }

    fn shrink(&self, fit: &mut Fit) {
        let lacking = self.lacking();
        let unneeded = self.vacancies.iter().skip(lacking);
        // What a manifest is told by its bots is kept until it changes.
        let unneeded = unneeded.filter(|(due, _)| *due != Due::Never || self.wanted.count == 0);
        let ended = unneeded.map(|(_, vacancy)| vacancy.pod).chain(self.followed.iter().copied());
        fit.deletes.extend(ended.map(|pod| delete(pod, WhyDelete::Ended)));
        if self.outdated.is_empty() || self.wanted.count == 0 {
            let all = self.current.iter().chain(&self.outdated).copied().collect();
            let excess = self.live().saturating_sub(self.wanted.count);
            fit.deletes
                .extend(self.least_busy(all).take(excess).map(|pod| delete(pod, WhyDelete::NotNeeded)));
        } else if !self.wanted.blocked {
            self.exchange(fit);
        }
    }

    /// Outdated pods go when enough others are ready; those that serve nobody yet go at once.
    fn exchange(&self, fit: &mut Fit) {
        let needed = self.wanted.count.saturating_sub(self.wanted.unavailable);
        let available = self.current.iter().chain(&self.outdated).filter(|pod| pod.is_available()).count();
        let mut spare = available.saturating_sub(needed);
        let mut strays = self.wanted.surge + self.wanted.unavailable;
        for pod in self.least_busy(self.outdated.clone()) {
            let counter = match (pod.is_available(), pod.burden(self.now)) {
                (true, _) => &mut spare,
                (false, 0) => &mut usize::MAX.clone(),
                // Not ready, and it may hold something.
                (false, _) if available >= needed => &mut strays,
                (false, _) => continue,
            };
            if *counter > 0 {
                *counter -= 1;
                fit.deletes.push(delete(pod, WhyDelete::Outdated));
            }
        }
        let excess = self.current.len().saturating_sub(self.wanted.count);
        let excess = self.least_busy(self.current.clone()).take(excess);
        fit.deletes.extend(excess.map(|pod| delete(pod, WhyDelete::NotNeeded)));
    }

    fn least_busy(&self, mut pods: Vec<&'a ObservedPod>) -> impl Iterator<Item = &'a ObservedPod> + use<'a> {
        pods.sort_by_key(|pod| (pod.burden(self.now), pod.is_available(), Reverse(pod.slot)));
        pods.into_iter()
    }

    /// Whether pods that ended for the site's reason are replaced: all of them while others work, one while none is
    /// known to, none while that one is on its way.
    fn site_gate(&self) -> Gate {
        let works = |pod: &&ObservedPod| {
            use ReportedState::{Standby, Watching, Working};
            let sees_the_site = |state| matches!(state, Working | Watching | Standby);
            pod.is_available() && pod.fresh_report(self.now).is_some_and(|report| sees_the_site(report.state))
        };
        let mut live = self.current.iter().chain(&self.outdated).copied();
        if live.clone().any(|pod| works(&pod)) {
            Gate::Open
        } else if live.any(|pod| pod.probes_site) {
            Gate::Closed
        } else {
            Gate::One
        }
    }

    fn create(&self, slot: u32) -> Action {
        let why = if self.outdated.is_empty() { WhyCreate::Needed } else { WhyCreate::Exchange };
        Action::Create { role: self.wanted.role, slot, failures: 0, probes_site: false, why }
    }

    /// In another slot: that of the pod that is given up is not free before it is gone.
    fn make_up_for(&self, slot: u32, pod: &ObservedPod, why: Abandoned) -> Action {
        Action::Create {
            role: self.wanted.role,
            slot,
            failures: why.failures(pod, self.wanted.revision),
            probes_site: false,
            why: WhyCreate::Abandons {
                pod: pod.name.clone(),
                uid: pod.uid.clone(),
                why,
                said: pod.last_said.as_ref().map(Report::words),
            },
        }
    }

    fn replace(&self, vacancy: &Vacancy, probes_site: bool) -> Action {
        Action::Create {
            role: self.wanted.role,
            slot: vacancy.pod.slot,
            failures: vacancy.failures(self.wanted.revision),
            probes_site,
            why: WhyCreate::Replaces {
                pod: vacancy.pod.name.clone(),
                uid: vacancy.pod.uid.clone(),
                exit: vacancy.exit.clone(),
            },
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    One,
    Closed,
}

fn delete(pod: &ObservedPod, why: WhyDelete) -> Action {
    Action::Delete { pod: pod.name.clone(), uid: pod.uid.clone(), role: pod.role, why }
}
