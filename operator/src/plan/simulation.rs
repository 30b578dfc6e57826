//! Fleets that live through seeded faults, second by second, while every plan is checked.

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;
use jiff::Timestamp;
use scrapefleet_api::{Period, ScrapeFleetSpec};

use super::{
    Action, Depth, Fleet, Memory, ObservedPod, Plan, ReportedState, Revisions, Role, Share, Situation, Stage,
    WhyCreate, WhyDelete, fixture, plan, share_of_new,
};
use crate::Observed;

/// The largest `bots.max` of the fleets here.
const MOST_BOTS: usize = 14;

/// A cluster in which one second passes at a time.
struct World {
    spec: ScrapeFleetSpec,
    revisions: Revisions,
    pods: Vec<ObservedPod>,
    ends_by: BTreeMap<String, Timestamp>,
    memory: Memory,
    now: Timestamp,
    made: u32,
    waiting: u64,
    depth_answers: bool,
    replaced: VecDeque<Timestamp>,
    random: Rng,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let min = random.i32(0..4);
        let mut spec = fixture::spec(min, min.max(1) + random.i32(0..12));
        spec.rollout.max_surge = random.i32(0..3);
        spec.rollout.max_unavailable = random.i32(0..3).max(1 - spec.rollout.max_surge);
        spec.bots.scaling.scale_in_after = Period::secs(random.u64(0..40));
        spec.watcher.standby = random.bool();
        Self {
            spec,
            revisions: Revisions { bot: "r1".into(), watcher: "w1".into() },
            pods: Vec::new(),
            ends_by: BTreeMap::new(),
            memory: Memory::default(),
            now: fixture::second(1_000_000),
            made: 0,
            waiting: random.u64(0..200),
            depth_answers: true,
            replaced: VecDeque::new(),
            random,
        }
    }

    fn bots(&self) -> impl Iterator<Item = &ObservedPod> {
        self.pods.iter().filter(|pod| pod.role == Role::Bot)
    }

    fn live(&self) -> usize {
        self.bots().filter(|pod| pod.is_live()).count()
    }

    fn there(&self) -> usize {
        self.bots().filter(|pod| pod.is_live() || pod.is_draining(self.now)).count()
    }

    fn held(&self) -> u64 {
        self.bots().filter_map(|pod| pod.report.value()).map(|report| u64::from(report.held)).sum()
    }

    fn plan(&self) -> Plan {
        let depth = if self.depth_answers {
            let value = Depth { ready: self.waiting, held: self.held(), delayed: 0, dead: 0 };
            Observed::Read { value, at: self.now }
        } else {
            Observed::unread("the broker does not answer")
        };
        let situation = self.situation(&depth);
        let plan = plan(&situation, &self.memory);
        self.check(&plan, share_of_new(&situation, &plan));
        plan
    }

    fn situation<'a>(&'a self, depth: &'a Observed<Depth>) -> Situation<'a> {
        Situation {
            spec: &self.spec,
            fleet: Fleet { has_finalizer: true, ..Fleet::default() },
            revisions: &self.revisions,
            blocked: false,
            pods: &self.pods,
            ends_by: &self.ends_by,
            depth,
            now: self.now,
        }
    }

    fn check(&self, plan: &Plan, new_share: Share) {
        let bounds = (self.spec.bots.min, self.spec.bots.max, self.spec.rollout.max_surge);
        let [min, max, surge] = [bounds.0, bounds.1, bounds.2].map(|n| usize::try_from(n).unwrap());
        let count = plan.target.count;
        if !self.spec.suspend {
            assert!((min..=max).contains(&count), "{count} bots wanted, bounds {bounds:?}");
        }
        let creates = count_of(plan, |action| matches!(action, Action::Create { role: Role::Bot, .. }));
        if creates > 0 {
            assert!(self.there() + creates <= max + surge, "{} and {creates}, {bounds:?}", self.there());
        }
        if plan.rolling && creates > 0 {
            let lacked = count.saturating_sub(self.live());
            assert!(creates <= lacked || self.there() + creates <= count + surge, "too many at once");
        }
        self.check_deletes(plan);
        self.check_shares(plan, new_share);
    }

    fn check_deletes(&self, plan: &Plan) {
        let deleted: BTreeMap<&str, WhyDelete> = plan
            .actions
            .iter()
            .filter_map(|action| match action {
                Action::Delete { uid, why, .. } => Some((uid.as_str(), *why)),
                _ => None,
            })
            .collect();
        let stays = |pod: &&ObservedPod| pod.is_live() && !deleted.contains_key(pod.uid.as_str());
        let staying: Vec<_> = self.bots().filter(stays).collect();
        for pod in self.bots().filter(|pod| deleted.contains_key(pod.uid.as_str())) {
            assert!(!pod.fenced && !pod.terminating, "{pod:?} is not ours to delete");
            let why = deleted[pod.uid.as_str()];
            if pod.is_live() {
                assert!(matches!(why, WhyDelete::NotNeeded | WhyDelete::Outdated), "{why:?}");
                let alike = staying.iter().filter(|other| {
                    other.revision == pod.revision || (why == WhyDelete::NotNeeded && !plan.rolling)
                });
                let idler = alike.filter(|other| other.burden(self.now) < pod.burden(self.now));
                // Ready pods that are exchanged are bounded by how many must be ready, so an idle one that is not
                // ready may stay for a moment; an idle one that is ready goes first.
                let idler = idler.filter(|other| other.is_available() == pod.is_available());
                assert_eq!(idler.count(), 0, "{} holds and goes before an idle one", pod.name);
            }
            if plan.target.hold.is_some() && self.live() <= plan.target.count {
                assert_ne!(why, WhyDelete::NotNeeded, "scaled in without a depth");
            }
        }
        let needed =
            plan.target.count.saturating_sub(usize::try_from(self.spec.rollout.max_unavailable).unwrap());
        let available = |pod: &&ObservedPod| pod.is_available();
        if self.bots().filter(available).count() >= needed {
            let left = staying.iter().copied().filter(available).count();
            assert!(left >= needed, "{left} ready are left of {needed} needed");
        }
    }

    /// After each action in turn, all shares together are within the budget.
    fn check_shares(&self, plan: &Plan, new_share: Share) {
        let there = self.pods.iter().filter(|pod| pod.is_live() || pod.is_draining(self.now));
        let mut shares: BTreeMap<String, (Role, Share)> =
            there.filter_map(|pod| Some((pod.name.clone(), (pod.role, pod.share?)))).collect();
        let within = |shares: &BTreeMap<String, (Role, Share)>| {
            let connections: f64 = shares.values().map(|(_, share)| share.connections_per_minute).sum();
            let bots = shares.values().filter(|(role, _)| *role == Role::Bot);
            let held: i64 = bots.map(|(_, share)| i64::from(share.held)).sum();
            connections <= f64::from(self.spec.politeness.connections_per_minute) + 1e-6
                && held <= i64::from(self.spec.politeness.held)
        };
        assert!(within(&shares), "{shares:?}");
        for (index, action) in plan.actions.iter().enumerate() {
            match action {
                Action::Deal { pod, share } => {
                    let role = self.pods.iter().find(|known| known.name == *pod).expect("it is there").role;
                    shares.insert(pod.clone(), (role, *share));
                }
                Action::Create { role, .. } => {
                    shares.insert(format!("new {index}"), (*role, new_share));
                }
                _ => {}
            }
            assert!(within(&shares), "after {action:?}: {shares:?}");
        }
    }

    fn apply(&mut self, plan: Plan) {
        let depth = Observed::unread("not asked");
        let share = share_of_new(&self.situation(&depth), &plan);
        self.memory = plan.memory;
        for action in plan.actions {
            match action {
                Action::Create { role, slot, failures, probes_site, why } => {
                    if let WhyCreate::Replaces { .. } = why {
                        self.replaced.push_back(self.now);
                    }
                    self.create(role, slot, failures, probes_site, share);
                }
                Action::Delete { uid, .. } => self.delete(&uid),
                Action::Deal { pod, share } => {
                    let pod = self.pods.iter_mut().find(|known| known.name == pod);
                    pod.expect("it is there").share = Some(share);
                }
                action => panic!("{action:?} for a fleet that stays"),
            }
        }
        while self.replaced.front().is_some_and(|at| self.now.duration_since(*at).as_secs() >= 60) {
            self.replaced.pop_front();
        }
        // As many as the fleet should have, and it may have had the largest `bots.max` of this test a moment ago.
        assert!(self.replaced.len() <= MOST_BOTS, "{} replaced in a minute", self.replaced.len());
    }

    fn create(&mut self, role: Role, slot: u32, failures: u32, probes_site: bool, share: Share) {
        let in_slot = |pod: &&ObservedPod| pod.role == role && pod.slot == slot && pod.exit().is_none();
        assert!(self.pods.iter().find(in_slot).is_none(), "slot {slot} is taken");
        self.made += 1;
        let mut pod = fixture::pod(slot).pending();
        if role == Role::Watcher {
            pod = pod.watcher();
        }
        pod.revision = self.revisions.role(role).to_owned();
        pod.name = format!("pod-{}", self.made);
        pod.uid = format!("uid-{}", self.made);
        (pod.failures, pod.probes_site, pod.share) = (failures, probes_site, Some(share));
        self.pods.push(pod);
    }

    fn delete(&mut self, uid: &str) {
        let pod = self.pods.iter_mut().find(|pod| pod.uid == uid).expect("it is there");
        if pod.exit().is_some() || pod.report.value().is_none() {
            self.pods.retain(|pod| pod.uid != uid);
        } else {
            pod.terminating = true;
        }
    }

    /// What kubelets and bots do in a second.
    fn live_on(&mut self, faults: bool) {
        self.now = self.now.checked_add(std::time::Duration::from_secs(1)).unwrap();
        let (random, now) = (&mut self.random, self.now);
        for pod in &mut self.pods {
            if pod.exit().is_some() {
                continue;
            }
            match pod.stage {
                Stage::Pending if random.u8(..3) == 0 => pod.stage = Stage::Starting,
                Stage::Starting if random.u8(..3) == 0 => pod.stage = Stage::Ready,
                _ => {}
            }
            if pod.stage != Stage::Ready {
                continue;
            }
            let mut held = pod.report.value().map_or(0, |report| report.held);
            held -= u32::try_from((0..held).filter(|_| random.u8(..30) == 0).count()).unwrap();
            if pod.role == Role::Bot && !pod.terminating {
                let takes = u64::from(10 - held.min(10)).min(self.waiting);
                self.waiting -= takes;
                held += u32::try_from(takes).unwrap();
            }
            *pod = pod.clone().holding(held, now);
            if faults && random.u8(..200) == 0 {
                let code = [0, 10, 11, 12, 13, 14, 16, 20, 137][random.usize(..9)];
                self.waiting += u64::from(held);
                *pod = pod.clone().ended(code, now);
            } else if faults && random.u8(..100) == 0 {
                *pod = pod.clone().reporting(ReportedState::SiteUnavailable, held, now);
            }
        }
        // A pod that was deleted is gone once it has nothing left to hold.
        self.pods.retain(|pod| {
            let idle = pod.report.value().is_none_or(|report| report.held == 0);
            !(pod.terminating && (idle || pod.exit().is_some()))
        });
    }

    /// What people and the site do in a second.
    fn disturb(&mut self) {
        let random = &mut self.random;
        match random.u8(..60) {
            0 => self.waiting += random.u64(0..150),
            1 => self.depth_answers = !self.depth_answers,
            2 => self.revisions.bot = format!("r{}", random.u8(..4)),
            3 => self.spec.suspend = random.u8(..4) == 0,
            4 => self.spec.bots.max = self.spec.bots.min.max(1) + random.i32(0..12),
            5 => self.spec.bots.replicas = random.bool().then(|| random.i32(0..15)),
            6 => {
                if let Some(pod) = self.pods.iter_mut().find(|pod| pod.is_live() && pod.slot == 0) {
                    pod.fenced = true;
                }
            }
            _ => {}
        }
    }
}

fn count_of(plan: &Plan, of: impl Fn(&Action) -> bool) -> usize {
    plan.actions.iter().filter(|action| of(action)).count()
}

#[test]
fn no_fault_makes_a_plan_break_its_promises_and_the_fleet_comes_to_rest() {
    for seed in 0..150 {
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.live_on(true);
            world.disturb();
            let plan = world.plan();
            world.apply(plan);
        }
        (world.spec.suspend, world.depth_answers, world.spec.bots.replicas) = (false, true, None);
        // The longest delay of a slot is ten minutes, for a site that was unavailable.
        for _ in 0..1500 {
            world.live_on(false);
            let plan = world.plan();
            world.apply(plan);
        }
        let rest = world.plan();
        assert_eq!(rest.actions, [], "seed {seed}: it goes on");
        assert_eq!(world.live(), rest.target.count, "seed {seed}");
        assert!(world.pods.iter().all(|pod| pod.fenced || pod.is_available()), "seed {seed}");
        assert!(world.bots().all(|pod| pod.fenced || pod.revision == world.revisions.bot), "seed {seed}");
        assert_eq!(
            rest.target.count,
            usize::try_from(world.spec.bots.min).unwrap(),
            "seed {seed}: nothing waits"
        );
    }
}

#[test]
fn what_was_forgotten_disturbs_no_pod() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        for _ in 0..200 {
            world.waiting = 60;
            world.live_on(false);
            let plan = world.plan();
            world.apply(plan);
        }
        world.memory = Memory::default();
        let plan = world.plan();
        let touched =
            count_of(&plan, |action| matches!(action, Action::Delete { .. } | Action::Create { .. }));
        assert_eq!(touched, 0, "seed {seed}: {:?}", plan.actions);
    }
}
