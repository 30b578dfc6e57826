//! A cluster in which one second passes at a time.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use fastrand::Rng;
use jiff::Timestamp;
use scrapefleet_api::{Period, ScrapeFleetSpec};

use crate::{
    Observed,
    plan::{
        Action, Depth, Fleet, Hindrance, Memory, ObservedPod, Obstacle, Plan, Report, ReportedState,
        Revisions, Role, Share, Situation, Stage, WhyCreate, WhyDelete, fixture, is_late, plan, share_of_new,
    },
};

/// Seconds after which a node that does not answer is said to be gone, as Kubernetes counts them.
const SAID_GONE: i64 = 40;

/// Seconds after that until its pods are deleted: what they tolerate.
const TOLERATED: i64 = 20;

/// Seconds from the deletion of a pod to its end, at most.
const GRACE: u64 = 30;

/// Seconds after which a node finds a pod that hangs unready.
const UNREADY: i64 = 3;

/// Seconds after which the node has ended it.
const KILLED: i64 = 35;

/// How far the clock of a node may be off, in seconds.
const SKEWS: [i64; 3] = [-600, 0, 600];

/// The longest that answers of a pod which is well are lost, in seconds.
const MUTE: u64 = 15;

/// The nodes.
const NODES: [&str; 3] = ["a", "b", "c"];

/// Exit codes that a bot ends with.
const CODES: [i32; 9] = [0, 10, 11, 12, 13, 14, 16, 20, 137];

/// What is so, whether the operator sees it or not.
pub(super) struct World {
    pub(super) spec: ScrapeFleetSpec,
    pub(super) revisions: Revisions,
    pub(super) pods: Vec<ObservedPod>,
    pub(super) ends_by: BTreeMap<String, Timestamp>,
    pub(super) now: Timestamp,
    /// When pods were replaced, within the last minute.
    pub(super) replaced: VecDeque<Timestamp>,
    /// Nodes that do not answer, since when.
    gone: BTreeMap<String, Timestamp>,
    /// Seconds by which the clocks of nodes are ahead.
    skews: BTreeMap<String, i64>,
    /// When pods ended, by uid, whatever their nodes say.
    ended: BTreeMap<String, Timestamp>,
    lives: BTreeMap<String, Life>,
    memory: Memory,
    made: u32,
    waiting: u64,
    depth_answers: bool,
    /// When the operator was restarted.
    restarts: Vec<Timestamp>,
    /// After how many actions of its next plan the operator is killed, if it is.
    dies_after: Option<usize>,
    /// The operator reaches no pod.
    blind: bool,
    random: Rng,
}

/// What a pod does.
#[derive(Debug, Clone, Default)]
struct Life {
    held: u32,
    state: ReportedState,
    /// What keeps it from starting, if anything does.
    hindered: Option<Hindrance>,
    /// It does not end when it is deleted.
    lingers: bool,
    /// It waits for the store.
    no_store: bool,
    /// Since when it does nothing at all.
    hung: Option<Timestamp>,
    /// Until when its answers are lost, though it is well.
    mute: Option<Timestamp>,
}

impl Life {
    /// What it says of itself.
    fn state(&self) -> ReportedState {
        if self.no_store { ReportedState::StoreUnreachable } else { self.state }
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
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
            now: fixture::second(1_000_000),
            replaced: VecDeque::new(),
            gone: BTreeMap::new(),
            skews: NODES.into_iter().map(|node| (node.to_owned(), SKEWS[random.usize(..3)])).collect(),
            ended: BTreeMap::new(),
            lives: BTreeMap::new(),
            memory: Memory::default(),
            made: 0,
            waiting: random.u64(0..200),
            depth_answers: true,
            restarts: Vec::new(),
            dies_after: None,
            blind: false,
            random,
        }
    }

    pub(super) fn bots(&self) -> impl Iterator<Item = &ObservedPod> {
        self.pods.iter().filter(|pod| pod.role == Role::Bot)
    }

    pub(super) fn live(&self) -> usize {
        self.bots().filter(|pod| pod.is_live()).count()
    }

    /// Bots that there are, those included that drain and are still waited for.
    pub(super) fn there(&self) -> usize {
        let depth = Observed::unread("not asked");
        let situation = self.situation(&depth);
        let drains = |pod: &ObservedPod| pod.is_draining(self.now) && !is_late(&situation, pod);
        self.bots().filter(|pod| pod.is_live() || drains(pod)).count()
    }

    /// Whether the node of this pod does not answer, in truth.
    pub(super) fn has_lost_its_node(&self, pod: &ObservedPod) -> bool {
        pod.node.as_ref().is_some_and(|node| self.gone.contains_key(node))
    }

    /// Whether this pod does nothing at all, in truth.
    pub(super) fn hangs(&self, pod: &ObservedPod) -> bool {
        self.lives.get(&pod.uid).is_some_and(|life| life.hung.is_some())
    }

    /// When this pod ended, in truth.
    pub(super) fn ended_at(&self, uid: &str) -> Option<Timestamp> {
        self.ended.get(uid).copied()
    }

    /// A pod ends; its node dates that by its own clock.
    fn end(&mut self, index: usize, code: i32) {
        let pod = &mut self.pods[index];
        let skew = pod.node.as_ref().and_then(|node| self.skews.get(node)).copied().unwrap_or(0);
        let dated = Timestamp::from_second(self.now.as_second() + skew).expect("a time of this test");
        *pod = pod.clone().ended(code, dated);
        pod.silent_since = None;
        self.ended.insert(pod.uid.clone(), self.now);
    }

    /// So many items wait.
    pub(super) fn fill(&mut self, items: u64) {
        self.waiting = items;
    }

    /// The operator starts anew.
    pub(super) fn forget(&mut self) {
        self.memory = Memory::default();
    }

    /// The same, in the time in which restarts are counted.
    fn restart(&mut self) {
        self.restarts.push(self.now);
        self.forget();
    }

    /// How often the operator was restarted within the last two minutes.
    pub(super) fn restarts(&self) -> usize {
        self.restarts.iter().filter(|at| self.now.duration_since(**at).as_secs() < 120).count()
    }

    fn depth(&self) -> Observed<Depth> {
        if !self.depth_answers {
            return Observed::unread("the broker does not answer");
        }
        let held = self.lives.values().map(|life| u64::from(life.held)).sum();
        Observed::Read { value: Depth { ready: self.waiting, held, delayed: 0, dead: 0 }, at: self.now }
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

    /// What is planned now, checked.
    pub(super) fn plan(&self) -> Plan {
        let depth = self.depth();
        let situation = self.situation(&depth);
        let plan = plan(&situation, &self.memory);
        self.check(&plan, share_of_new(&situation, &plan));
        plan
    }

    /// The operator looks and acts; whether there was nothing to do.
    pub(super) fn look(&mut self) -> bool {
        let plan = self.plan();
        let idle = plan.actions.is_empty() && plan.waiting.is_empty();
        let settles = self.apply(plan);
        self.check_replaced();
        if settles {
            self.check_second_look();
        }
        idle
    }

    /// Does what is planned, unless the operator is killed in the middle of it; whether something was done and all of it is
    /// seen at once, so that a second look must find nothing to do.
    fn apply(&mut self, mut plan: Plan) -> bool {
        let depth = Observed::unread("not asked");
        let share = share_of_new(&self.situation(&depth), &plan);
        let killed = self.dies_after.take_if(|done| *done < plan.actions.len());
        let mut settles = !plan.actions.is_empty() && killed.is_none();
        self.memory = plan.memory;
        plan.actions.truncate(killed.unwrap_or(usize::MAX));
        for action in plan.actions {
            match action {
                Action::Create { role, slot, failures, probes_site, why } => {
                    if let WhyCreate::Replaces { .. } = why {
                        self.replaced.push_back(self.now);
                    }
                    self.create(role, slot, failures, probes_site, share);
                }
                Action::Delete { uid, why, .. } => {
                    if let WhyDelete::Abandoned(_) = why {
                        self.replaced.push_back(self.now);
                    }
                    // What goes makes room for what comes later.
                    settles = false;
                    self.delete(&uid);
                }
                Action::Deal { pod, share } => {
                    let pod = self.pods.iter_mut().find(|known| known.name == pod);
                    pod.expect("it is there").share = Some(share);
                }
                action => panic!("{action:?} for a fleet that stays"),
            }
        }
        if killed.is_some() {
            self.restart();
        }
        while self.replaced.front().is_some_and(|at| self.now.duration_since(*at).as_secs() >= 60) {
            self.replaced.pop_front();
        }
        settles
    }

    fn create(&mut self, role: Role, slot: u32, failures: u32, probes_site: bool, share: Share) {
        let in_slot = |pod: &&ObservedPod| pod.role == role && pod.slot == slot && pod.exit().is_none();
        assert!(self.pods.iter().find(in_slot).is_none(), "slot {slot} is taken");
        self.made += 1;
        let mut pod = fixture::pod(slot).pending();
        let mut life = Life { state: ReportedState::Working, ..Life::default() };
        if role == Role::Watcher {
            pod = pod.watcher();
            life.state = ReportedState::Watching;
        }
        pod.revision = self.revisions.role(role).to_owned();
        pod.name = format!("pod-{}", self.made);
        pod.uid = format!("uid-{}", self.made);
        (pod.failures, pod.probes_site, pod.share) = (failures, probes_site, Some(share));
        pod.since = Some(self.now);
        self.lives.insert(pod.uid.clone(), life);
        self.pods.push(pod);
    }

    fn delete(&mut self, uid: &str) {
        let pod = self.pods.iter_mut().find(|pod| pod.uid == uid).expect("it is there");
        if pod.exit().is_some() || pod.node.is_none() {
            self.vanish(&[uid.to_owned()]);
        } else {
            pod.terminating = true;
            self.ends_by.insert(uid.to_owned(), self.now + Duration::from_secs(GRACE));
        }
    }

    /// Pods are gone, and what they held waits again.
    fn vanish(&mut self, uids: &[String]) {
        self.pods.retain(|pod| !uids.contains(&pod.uid));
        for uid in uids {
            self.ends_by.remove(uid);
            self.ended.remove(uid);
            let life = self.lives.remove(uid).unwrap_or_default();
            self.waiting += u64::from(life.held);
        }
    }

    /// What nodes, kubelets and bots do in a second.
    pub(super) fn second(&mut self) {
        self.now += Duration::from_secs(1);
        self.schedule();
        for index in 0..self.pods.len() {
            if self.pods[index].exit().is_some() {
                continue;
            }
            if self.has_lost_its_node(&self.pods[index]) {
                self.lie_dead(index);
            } else if self.hangs(&self.pods[index]) {
                self.hang(index);
            } else {
                self.live_on(index);
            }
        }
        self.end_deleted();
    }

    /// Gives nodes to pods that have none.
    fn schedule(&mut self) {
        let said_gone = |since: &Timestamp| self.now.duration_since(*since).as_secs() >= SAID_GONE;
        let nodes: Vec<String> = NODES
            .into_iter()
            .filter(|node| !self.gone.get(*node).is_some_and(said_gone))
            .map(str::to_owned)
            .collect();
        for pod in self.pods.iter_mut().filter(|pod| pod.node.is_none() && pod.stage == Stage::Pending) {
            let hindered = self.lives.get(&pod.uid).and_then(|life| life.hindered);
            let found = self.random.choice(&nodes).filter(|_| hindered != Some(Hindrance::NoNode));
            pod.node = found.cloned();
            pod.since = Some(self.now);
            let obstacle = || Obstacle { kind: Hindrance::NoNode, said: "0/3 nodes".into() };
            pod.obstacle = pod.node.is_none().then(obstacle);
        }
    }

    /// A pod on a node that does not answer: nobody hears of it, then it is said to be gone, then it is deleted.
    fn lie_dead(&mut self, index: usize) {
        let pod = &mut self.pods[index];
        let Some(since) = pod.node.as_ref().and_then(|node| self.gone.get(node)) else { return };
        if let Some(life) = self.lives.get_mut(&pod.uid) {
            self.waiting += u64::from(std::mem::take(&mut life.held));
        }
        pod.report = Observed::unread("no answer");
        if pod.stage != Stage::Pending {
            pod.silent_since.get_or_insert(self.now);
        }
        let gone_for = self.now.duration_since(*since).as_secs();
        if gone_for >= SAID_GONE && pod.stage == Stage::Ready {
            (pod.stage, pod.node_gone) = (Stage::Starting, true);
        }
        if gone_for >= SAID_GONE + TOLERATED && !pod.terminating {
            pod.terminating = true;
            self.ends_by.insert(pod.uid.clone(), self.now + Duration::from_secs(GRACE));
        }
    }

    /// A pod that does nothing: its broker gives what it held to others, and its node ends it after a while.
    fn hang(&mut self, index: usize) {
        let (pod, now) = (&mut self.pods[index], self.now);
        let Some(life) = self.lives.get_mut(&pod.uid) else { return };
        let Some(since) = life.hung else { return };
        pod.report = Observed::unread("no answer");
        pod.silent_since.get_or_insert(now);
        let seconds = now.duration_since(since).as_secs();
        if seconds >= UNREADY && pod.stage == Stage::Ready {
            pod.stage = Stage::Starting;
        }
        if seconds >= KILLED || pod.terminating {
            self.waiting += u64::from(std::mem::take(&mut life.held));
        }
        if seconds >= KILLED {
            self.end(index, 137);
        }
    }

    fn live_on(&mut self, index: usize) {
        let (pod, random, now) = (&mut self.pods[index], &mut self.random, self.now);
        let Some(life) = self.lives.get_mut(&pod.uid) else { return };
        if std::mem::take(&mut pod.node_gone) {
            pod.stage = Stage::Ready;
        }
        match (&pod.stage, life.hindered) {
            (Stage::Pending, Some(kind)) => {
                pod.obstacle = Some(Obstacle { kind, said: "so it is".into() });
            }
            (Stage::Pending, None) if pod.node.is_some() && random.u8(..3) == 0 => {
                (pod.stage, pod.obstacle, pod.since) = (Stage::Starting, None, Some(now));
            }
            (Stage::Starting, _) if life.state().is_ready() && random.u8(..3) == 0 => {
                pod.stage = Stage::Ready;
            }
            (Stage::Ready, _) if !life.state().is_ready() => pod.stage = Stage::Starting,
            _ => {}
        }
        if pod.stage == Stage::Pending {
            return;
        }
        if pod.stage == Stage::Ready {
            life.held -= u32::try_from((0..life.held).filter(|_| random.u8(..30) == 0).count()).unwrap();
            if pod.role == Role::Bot && !pod.terminating {
                let takes = u64::from(10 - life.held.min(10)).min(self.waiting);
                self.waiting -= takes;
                life.held += u32::try_from(takes).unwrap();
            }
        }
        life.mute = life.mute.filter(|until| now < *until);
        if self.blind || life.mute.is_some() {
            pod.report = Observed::unread("no way to it");
            pod.silent_since.get_or_insert(now);
        } else {
            let value = Report { state: life.state(), held: life.held, ..Report::default() };
            pod.last_said = Some(value.clone());
            (pod.report, pod.silent_since) = (Observed::Read { value, at: now }, None);
        }
    }

    /// Pods that were deleted are gone once they hold nothing, or their time is over.
    fn end_deleted(&mut self) {
        let over = |pod: &&ObservedPod| {
            let ends = |life: &Life| {
                let due = || self.ends_by.get(&pod.uid).is_some_and(|by| self.now >= *by);
                !life.lingers && (life.held == 0 || due())
            };
            pod.terminating && !self.has_lost_its_node(pod) && self.lives.get(&pod.uid).is_none_or(ends)
        };
        let gone: Vec<String> = self.pods.iter().filter(over).map(|pod| pod.uid.clone()).collect();
        self.vanish(&gone);
    }

    /// The same, with what goes wrong in it.
    pub(super) fn second_with_faults(&mut self) {
        self.disturb();
        self.second();
        for index in 0..self.pods.len() {
            self.harm(index);
        }
    }

    fn harm(&mut self, index: usize) {
        let (pod, random) = (&mut self.pods[index], &mut self.random);
        let Some(life) = self.lives.get_mut(&pod.uid) else { return };
        let lost = pod.node.as_ref().is_some_and(|node| self.gone.contains_key(node));
        if pod.exit().is_some() || lost {
            return;
        }
        // Only then has everybody seen what it is; and what it turns into while its answers are lost, nobody can know.
        let as_said = (pod.stage == Stage::Ready) == life.state().is_ready();
        let settled = as_said && pod.silent_since.is_none();
        let audible = life.mute.is_none();
        match random.u16(..400) {
            0..3 if pod.stage == Stage::Ready => {
                let code = CODES[random.usize(..CODES.len())];
                self.waiting += u64::from(std::mem::take(&mut life.held));
                self.end(index, code);
            }
            3..6 if pod.role == Role::Bot && audible => life.state = ReportedState::SiteUnavailable,
            6..16 if pod.role == Role::Bot => life.state = ReportedState::Working,
            16..18 if pod.role == Role::Bot && audible => life.no_store = true,
            18..24 => life.no_store = false,
            24..34 if pod.stage == Stage::Pending => {
                let kinds = [Hindrance::NoNode, Hindrance::Image, Hindrance::Container, Hindrance::Volume];
                life.hindered = Some(kinds[random.usize(..kinds.len())]);
                // As if it had waited for some minutes already.
                pod.since = pod.since.map(|since| since - Duration::from_secs(random.u64(..360)));
            }
            34..36 => life.hindered = None,
            36..38 => life.lingers = true,
            38..42 => life.lingers = false,
            42 if pod.stage == Stage::Ready => life.hung = Some(self.now),
            43..47 if settled => life.mute = Some(self.now + Duration::from_secs(random.u64(1..=MUTE))),
            _ => {}
        }
    }

    /// What people, the site, nodes and networks do.
    fn disturb(&mut self) {
        let random = &mut self.random;
        match random.u8(..52) {
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
            7 => {
                let node = NODES[random.usize(..3)].to_owned();
                let since = self.now;
                self.gone.entry(node).or_insert(since);
            }
            8 => drop(self.gone.pop_first()),
            9 => self.blind = random.u8(..3) == 0,
            // The operator is restarted, or killed at some action.
            10 => self.restart(),
            11 => self.dies_after = Some(random.usize(..4)),
            // The clock of a node is set.
            12 => {
                self.skews.insert(NODES[random.usize(..3)].to_owned(), SKEWS[random.usize(..3)]);
            }
            _ => {}
        }
    }

    /// Everything is well again; only what people decided stays.
    pub(super) fn mend(&mut self) {
        (self.spec.suspend, self.depth_answers, self.spec.bots.replicas) = (false, true, None);
        (self.blind, self.dies_after) = (false, None);
        self.gone.clear();
        for (uid, life) in &mut self.lives {
            (life.hindered, life.lingers, life.no_store) = (None, false, false);
            (life.hung, life.mute) = (None, None);
            let watches = self.pods.iter().any(|pod| pod.uid == *uid && pod.role == Role::Watcher);
            life.state = if watches { ReportedState::Watching } else { ReportedState::Working };
        }
    }

    /// Whether every pod is ready and nothing waits.
    pub(super) fn is_whole(&self) -> bool {
        let idle = self.waiting == 0 && self.lives.values().all(|life| life.held == 0);
        idle && self.pods.iter().all(|pod| pod.fenced || pod.is_available())
    }
}
