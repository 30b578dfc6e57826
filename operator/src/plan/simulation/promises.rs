//! What every plan must keep, whatever has happened.

use std::{collections::BTreeMap, time::Duration};

use super::{Action, world::World};
use crate::plan::{
    Abandoned, Blame, Exit, Hindrance, ObservedPod, Plan, Role, Share, Stage, WhyCreate, WhyDelete,
};

/// The largest `bots.max` of the fleets here, which bounds replacements a minute.
const MOST_BOTS: usize = 14;

/// The soonest that a pod which does not start is given up.
const START_WITHIN: Duration = Duration::from_mins(5);

/// The fewest seconds from an end to the next pod of its slot, which has failed so often in a row.
fn least_wait(exit: &Exit, failures: u32) -> i64 {
    let doubled = |first: i64, times: u32, most: i64| (first << times.min(20)).min(most);
    match (exit.why.blame(), failures) {
        (Blame::Nobody | Blame::Manifest, _) | (_, 0) | (Blame::Pod, 1) => 0,
        (Blame::Pod, failures) => doubled(5, failures - 2, 300),
        (Blame::Service, failures) => doubled(2, failures - 1, 30),
        (Blame::Site, failures) => doubled(15, failures - 1, 600),
    }
}

fn count_of(plan: &Plan, of: impl Fn(&Action) -> bool) -> usize {
    plan.actions.iter().filter(|action| of(action)).count()
}

impl World {
    pub(super) fn check(&self, plan: &Plan, new_share: Share) {
        let bounds = (self.spec.bots.min, self.spec.bots.max, self.spec.rollout.max_surge);
        let [min, max, surge] = [bounds.0, bounds.1, bounds.2].map(|n| usize::try_from(n).unwrap());
        let count = plan.target.count;
        if !self.spec.suspend {
            assert!((min..=max).contains(&count), "{count} bots wanted, bounds {bounds:?}");
        }
        if plan.actions.is_empty() {
            return;
        }
        let creates = count_of(plan, |action| matches!(action, Action::Create { role: Role::Bot, .. }));
        let given_up = count_of(plan, |action| {
            matches!(action, Action::Delete { role: Role::Bot, why: WhyDelete::Abandoned(_), .. })
        });
        let there = self.there() - given_up;
        if creates > 0 {
            assert!(there + creates <= max + surge, "{there} and {creates}, {bounds:?}");
        }
        if plan.rolling && creates > 0 {
            let lacked = count.saturating_sub(self.live() - given_up);
            assert!(creates <= lacked || there + creates <= count + surge, "too many at once");
        }
        self.check_deletes(plan);
        self.check_waits(plan);
        self.check_shares(plan, new_share);
    }

    /// Who keeps failing is made anew later each time, whatever the clock of its node says.
    fn check_waits(&self, plan: &Plan) {
        for action in &plan.actions {
            let Action::Create { failures, why: WhyCreate::Replaces { uid, exit, .. }, .. } = action else {
                continue;
            };
            let ended = self.ended_at(uid).expect("what is replaced has ended");
            let waited = self.now.duration_since(ended).as_secs();
            assert!(waited >= least_wait(exit, *failures), "after {waited} s, {failures} failures: {exit:?}");
        }
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
        for pod in self.pods.iter().filter(|pod| deleted.contains_key(pod.uid.as_str())) {
            assert!(!pod.fenced && !pod.terminating, "{pod:?} is not ours to delete");
            self.check_reason(pod, deleted[pod.uid.as_str()]);
        }
        let stays = |pod: &&ObservedPod| pod.is_live() && !deleted.contains_key(pod.uid.as_str());
        let staying: Vec<_> = self.bots().filter(stays).collect();
        for pod in self.bots().filter(|pod| pod.is_live()) {
            if let Some(why @ (WhyDelete::NotNeeded | WhyDelete::Outdated)) = deleted.get(pod.uid.as_str()) {
                self.check_idlest(plan, pod, *why, &staying);
            }
        }
        let needed =
            plan.target.count.saturating_sub(usize::try_from(self.spec.rollout.max_unavailable).unwrap());
        let available = |pod: &&ObservedPod| pod.is_available();
        // One that waits for the store is not ready and goes on with what it holds, so an idle one goes before it.
        let serves = |pod: &&ObservedPod| pod.is_available() || pod.burden(self.now) > 0;
        if self.bots().filter(available).count() >= needed {
            let left =
                |of: &dyn Fn(&&ObservedPod) -> bool| staying.iter().copied().filter(|pod| of(pod)).count();
            let (ready, serving) = (left(&available), left(&serves));
            assert!(ready.max(serving) >= needed, "{ready} ready are left of {needed} needed");
        }
    }

    /// A pod goes for a reason that is so.
    fn check_reason(&self, pod: &ObservedPod, why: WhyDelete) {
        match why {
            WhyDelete::NotNeeded | WhyDelete::Outdated => assert!(pod.is_live(), "{why:?}: {pod:?}"),
            WhyDelete::Replaced | WhyDelete::Ended => assert!(pod.exit().is_some(), "{why:?}: {pod:?}"),
            WhyDelete::Abandoned(Abandoned::Unreachable) => {
                assert!(self.has_lost_its_node(pod), "its node answers: {pod:?}");
            }
            // One that was not ready when its node was lost looks the same.
            WhyDelete::Abandoned(Abandoned::Hung) => {
                assert!(self.hangs(pod) || self.has_lost_its_node(pod), "it is well: {pod:?}");
            }
            WhyDelete::Abandoned(Abandoned::NotStarted) => {
                let waits_for_node = pod.node.is_none()
                    || pod.obstacle.as_ref().is_some_and(|found| found.kind == Hindrance::NoNode);
                let since = pod.since.expect("a pod that is pending has a time");
                let waited = self.now.duration_since(since).unsigned_abs();
                assert!(
                    pod.stage == Stage::Pending && !waits_for_node && waited > START_WITHIN,
                    "it may still start: {pod:?}"
                );
            }
        }
    }

    /// A bot that holds something does not go before an idle one.
    fn check_idlest(&self, plan: &Plan, pod: &ObservedPod, why: WhyDelete, staying: &[&ObservedPod]) {
        let alike = staying
            .iter()
            .filter(|other| other.revision == pod.revision || (why == WhyDelete::NotNeeded && !plan.rolling));
        let idler = alike.filter(|other| other.burden(self.now) < pod.burden(self.now));
        // Ready pods that are exchanged are bounded by how many must be ready, so an idle one that is not
        // ready may stay for a moment; an idle one that is ready goes first.
        let idler = idler.filter(|other| other.is_available() == pod.is_available());
        assert_eq!(idler.count(), 0, "{} holds and goes before an idle one", pod.name);
        if plan.target.hold.is_some() && self.live() <= plan.target.count {
            assert_ne!(why, WhyDelete::NotNeeded, "scaled in without a depth");
        }
    }

    /// After each action in turn, all shares together are within the budget.
    fn check_shares(&self, plan: &Plan, new_share: Share) {
        let ask = self.pods.iter().filter(|pod| pod.asks(self.now));
        let mut shares: BTreeMap<String, (Role, Share)> =
            ask.filter_map(|pod| Some((pod.name.clone(), (pod.role, pod.share?)))).collect();
        let within = |shares: &BTreeMap<String, (Role, Share)>| {
            let connections: f64 = shares.values().map(|(_, share)| share.connections_per_minute).sum();
            let bots = shares.values().filter(|(role, _)| *role == Role::Bot);
            let held: i64 = bots.map(|(_, share)| i64::from(share.held)).sum();
            connections <= f64::from(self.spec.politeness.connections_per_minute) + 1e-6
                && held <= i64::from(self.spec.politeness.held)
        };
        // Pods that could not be seen are seen again: they are dealt less before anything is made.
        let seen_again = !within(&shares);
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
            let deals = seen_again && matches!(action, Action::Deal { .. });
            assert!(deals || within(&shares), "after {action:?}: {shares:?}");
        }
        assert!(within(&shares), "{shares:?}");
    }

    /// As many as the fleet should have, and it may have had the largest `bots.max` of this test a moment ago. A restart of
    /// the operator forgets what was replaced.
    pub(super) fn check_replaced(&self) {
        let most = MOST_BOTS * (1 + self.restarts());
        assert!(self.replaced.len() <= most, "{} replaced in a minute", self.replaced.len());
    }

    /// What was done needs no doing again.
    pub(super) fn check_second_look(&self) {
        assert_eq!(self.plan().actions, [], "a second look finds something to do");
    }

    /// The fleet is as it should be, and nothing is left to do.
    pub(super) fn check_rest(&self) {
        let rest = self.plan();
        assert_eq!(rest.actions, [], "it goes on");
        assert_eq!(self.live(), rest.target.count);
        for pod in self.pods.iter().filter(|pod| !pod.fenced) {
            assert!(pod.is_available(), "it does not get well: {pod:?}");
            assert_eq!(pod.revision, self.revisions.role(pod.role), "{}", pod.name);
        }
        assert_eq!(rest.target.count, usize::try_from(self.spec.bots.min).unwrap(), "nothing waits");
    }
}
