//! What a fault did, read off the record: a function of values.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    Scenario,
    history::{History, Hold, Said},
    scenario::{Measure, Strikes},
};

/// A fault that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Which.
    pub scenario: Scenario,
    /// When.
    pub at: Timestamp,
    /// When it was mended; none: there was nothing to mend.
    pub mended: Option<Timestamp>,
    /// When the product was seen to act on it, where no pod's status shows it.
    pub noticed: Option<Timestamp>,
    /// When the item that was struck was a dead letter.
    pub buried: Option<Timestamp>,
    /// Uids of the pods that it struck, with the browsers that each had thrown away before.
    pub victims: BTreeMap<String, u64>,
    /// Items that were open in them; where the site was struck, those that were open anywhere.
    pub items: BTreeSet<String>,
    /// How many bots worked before.
    pub bots: usize,
}

impl Fault {
    /// When it was over: at once where there was nothing to mend.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.mended.unwrap_or(self.at)
    }
}

/// What a fault did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// Which fault.
    pub scenario: &'static str,
    /// When it was done.
    pub at: Timestamp,
    /// What it struck: names of pods.
    pub struck: Vec<String>,
    /// How many items were open in what it struck.
    pub items: usize,
    /// In seconds.
    pub measures: BTreeMap<Measure, f64>,
    /// Items that were neither held again nor stored afterwards.
    pub forsaken: Vec<String>,
    /// What had to be seen and was not.
    pub unseen: Vec<Measure>,
    /// Bots that ended soon after it though no fault struck them.
    pub bystanders: usize,
}

/// How long after a fault something may still be its effect.
const LASTS: i64 = 180;

/// A bot looks at its items every three seconds: what it sees move within this after a moment may have moved before it.
const SEEN_LATE: i64 = 3;

/// How long an artifact that was taken may be on its way to the store, in seconds.
const ON_ITS_WAY: i64 = 10;

/// What a fault did. `stored` tells when the artifact of an item was taken, `struck` all pods that any fault struck.
#[must_use]
pub fn effect(
    fault: &Fault,
    history: &History,
    stored: &BTreeMap<String, Timestamp>,
    struck: &BTreeSet<String>,
) -> Effect {
    let reading = Reading { fault, history, stored, struck };
    let (held_again, forsaken) = reading.held_again();
    let noticed = reading.noticed();
    let strikes = fault.scenario.strikes();
    let wanted: &[(Measure, Option<f64>)] = match strikes {
        Strikes::Browser => &[(Measure::Noticed, noticed), (Measure::HeldAgain, held_again)],
        Strikes::Bot | Strikes::Node => &[
            (Measure::Noticed, noticed),
            (Measure::HeldAgain, held_again),
            (Measure::Replaced, reading.replaced(noticed)),
        ],
        Strikes::Watcher if fault.scenario.hangs_watcher() => {
            let after_notice = |over: f64| Some((over - noticed?).max(0.0));
            &[(Measure::Noticed, noticed), (Measure::TakenOver, reading.taken_over().and_then(after_notice))]
        }
        Strikes::Watcher => &[(Measure::TakenOver, reading.taken_over())],
        Strikes::Item => &[
            (Measure::Noticed, noticed),
            (Measure::HeldAgain, held_again),
            (Measure::Buried, fault.buried.map(|at| reading.after(at))),
        ],
        Strikes::Service if fault.noticed.is_some() => {
            &[(Measure::Noticed, noticed), (Measure::Resumed, reading.resumed())]
        }
        Strikes::Service if !fault.items.is_empty() => {
            &[(Measure::Resumed, reading.resumed()), (Measure::AllMove, reading.all_move())]
        }
        Strikes::Service => &[(Measure::Resumed, reading.resumed())],
    };
    let name = |uid: &String| history.pods.get(uid).map_or_else(|| uid.clone(), |pod| pod.name.clone());
    Effect {
        scenario: fault.scenario.name(),
        at: fault.at,
        struck: fault.victims.keys().map(name).collect(),
        items: fault.items.len(),
        measures: wanted.iter().filter_map(|(measure, value)| Some((*measure, (*value)?))).collect(),
        unseen: wanted.iter().filter(|(_, value)| value.is_none()).map(|(measure, _)| *measure).collect(),
        forsaken,
        bystanders: reading.bystanders(),
    }
}

struct Reading<'a> {
    fault: &'a Fault,
    history: &'a History,
    stored: &'a BTreeMap<String, Timestamp>,
    struck: &'a BTreeSet<String>,
}

impl Reading<'_> {
    fn after(&self, at: Timestamp) -> f64 {
        at.duration_since(self.fault.at).as_secs_f64()
    }

    /// The first moment, within what may be its effect, of which something is true.
    fn first(&self, from: Timestamp, is: impl Fn(Timestamp) -> bool) -> Option<Timestamp> {
        let moments = self.history.moments(from);
        moments.into_iter().take_while(|at| at.duration_since(from).as_secs() < LASTS).find(|at| is(*at))
    }

    /// When the product acts: a browser is thrown away, a pod is taken for lost.
    fn noticed(&self) -> Option<f64> {
        if let Some(at) = self.fault.noticed {
            return Some(self.after(at));
        }
        let of_victim = |(uid, before): (&String, &u64)| {
            let pod = self.history.pods.get(uid)?;
            if self.fault.scenario.ends_browsers() {
                let thrown = |said: &Said| said.browser.abandoned > *before;
                return pod.since(self.fault.at).find(|(_, said)| thrown(said)).map(|(at, _)| at);
            }
            let ended = pod.ended.filter(|ended| *ended >= self.fault.at);
            let mut said = pod.since(self.fault.at).filter(|_| self.fault.scenario.hangs_watcher());
            let left = said.find(|(_, said)| !said.active).map(|(at, _)| at);
            ended.into_iter().chain(left).min()
        };
        let noticed: Option<Vec<_>> = self.fault.victims.iter().map(of_victim).collect();
        noticed?.into_iter().max().map(|at| self.after(at))
    }

    /// When the last item is held again, and the items that never are.
    fn held_again(&self) -> (Option<f64>, Vec<String>) {
        let found: Vec<_> = self.fault.items.iter().map(|item| (item, self.again(item))).collect();
        let forsaken = found.iter().filter(|(_, at)| at.is_none()).map(|(item, _)| (*item).clone()).collect();
        let last = found.into_iter().filter_map(|(_, at)| at).max();
        let nothing_to_hold = self.fault.items.is_empty().then_some(0.0);
        (last.map(|at| self.after(at).max(0.0)).or(nothing_to_hold), forsaken)
    }

    /// When an item is open in a browser that the fault did not strike, or its artifact was taken.
    fn again(&self, item: &str) -> Option<Timestamp> {
        let opened = self.history.pods.iter().filter_map(|(uid, pod)| {
            let before = self.fault.victims.get(uid);
            let rebuilt = self.fault.scenario.ends_browsers();
            let sound = |abandoned: u64| match before {
                None => true,
                Some(before) => rebuilt && abandoned > *before,
            };
            let open = |said: &Said| sound(said.browser.abandoned) && said.open().any(|open| open == item);
            pod.since(self.fault.at).find(|(_, said)| open(said)).map(|(at, _)| at)
        });
        // What was taken just before was on its way to the store, and is done with.
        let lately = |at: &Timestamp| at.duration_since(self.fault.at).as_secs() >= -ON_ITS_WAY;
        let taken = self.stored.get(item).copied().filter(lately).map(|at| at.max(self.fault.at));
        opened.chain(taken).min()
    }

    /// From the notice until as many bots as before work, none of them struck.
    fn replaced(&self, noticed: Option<f64>) -> Option<f64> {
        let noticed = noticed?;
        let works = |at: Timestamp| {
            let sound = self.history.pods.iter().filter(|(uid, pod)| {
                let struck = self.fault.victims.contains_key(*uid);
                let works = pod.said_at(at).is_some_and(Said::works);
                !struck && pod.is_bot() && pod.is_live_at(at) && works
            });
            sound.count() >= self.fault.bots && self.after(at) >= noticed
        };
        self.first(self.fault.at, works).map(|at| self.after(at) - noticed)
    }

    fn taken_over(&self) -> Option<f64> {
        let others = self.history.pods.iter().filter(|(uid, _)| !self.fault.victims.contains_key(*uid));
        let active = others.filter_map(|(_, pod)| {
            let watches = |said: &Said| said.active && said.state == "watching";
            pod.since(self.fault.at).find(|(_, said)| watches(said)).map(|(at, _)| at)
        });
        active.min().map(|at| self.after(at))
    }

    /// From the end of the fault until as many bots as before work, each with an item that has moved since, and the list is
    /// watched.
    fn resumed(&self) -> Option<f64> {
        let end = self.fault.end();
        let well = |at: Timestamp| {
            let saying = || {
                let live = self.history.pods.values().filter(move |pod| pod.is_live_at(at));
                live.filter_map(move |pod| Some((pod, pod.said_at(at)?)))
            };
            let moves = |said: &Said| said.holds.iter().any(|hold| self.has_moved(hold, at));
            let bots = saying().filter(|(pod, said)| pod.is_bot() && said.works() && moves(said)).count();
            bots >= self.fault.bots && saying().any(|(_, said)| said.active && said.state == "watching")
        };
        self.first(end, well).map(|at| at.duration_since(end).as_secs_f64())
    }

    /// From the end of the fault until each item that was open has moved since, or its artifact was taken.
    fn all_move(&self) -> Option<f64> {
        let end = self.fault.end();
        let moves = |item: &String| {
            let moved = self.history.pods.values().filter_map(|pod| {
                let moves = |hold: &Hold, at| hold.item == *item && self.has_moved(hold, at);
                let mut since = pod.since(end).take_while(|(at, _)| at.duration_since(end).as_secs() < LASTS);
                since.find(|(at, said)| said.holds.iter().any(|hold| moves(hold, *at))).map(|(at, _)| at)
            });
            moved.chain(self.stored.get(item).copied().filter(|at| *at >= end)).min()
        };
        let all: Option<Vec<_>> = self.fault.items.iter().map(moves).collect();
        Some(all?.into_iter().max().map_or(0.0, |at| at.duration_since(end).as_secs_f64()))
    }

    /// Whether an open item has moved since the fault was over, as its bot said at a moment.
    fn has_moved(&self, hold: &Hold, at: Timestamp) -> bool {
        let margin = if self.fault.mended.is_some() { 0 } else { SEEN_LATE };
        hold.is_open() && at.duration_since(self.fault.end()).as_secs() > hold.still + margin
    }

    /// Bots that ended after the fault though no fault struck them.
    fn bystanders(&self) -> usize {
        let until = self.fault.end();
        let ended = |at: Timestamp| at >= self.fault.at && at.duration_since(until).as_secs() < 30;
        let others = self
            .history
            .pods
            .iter()
            .filter(|(uid, pod)| pod.is_bot() && pod.from < self.fault.at && !self.struck.contains(*uid));
        others.filter(|(_, pod)| pod.ended.is_some_and(ended)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Browser, Look, PodRecord};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn bot(state: &str, abandoned: u64, open: &[&str]) -> Said {
        let hold = |item: &&str| Hold { item: (*item).to_owned(), step: "open".to_owned(), still: 0 };
        Said {
            state: state.to_owned(),
            holds: open.iter().map(hold).collect(),
            browser: Browser { abandoned },
            ..Said::default()
        }
    }

    fn pod(role: &str, from: i64, ended: Option<i64>, looks: &[(i64, Option<Said>)]) -> PodRecord {
        let look = |(second, said): &(i64, Option<Said>)| Look { at: at(*second), said: said.clone() };
        let looks = looks.iter().map(look).collect();
        PodRecord {
            name: format!("{role}-{from}"),
            role: role.to_owned(),
            node: None,
            from: at(from),
            ended: ended.map(at),
            looks,
        }
    }

    fn history(pods: Vec<(&str, PodRecord)>) -> History {
        History { pods: pods.into_iter().map(|(uid, pod)| (uid.to_owned(), pod)).collect() }
    }

    fn fault(scenario: Scenario, victims: &[&str], items: &[&str]) -> Fault {
        Fault {
            scenario,
            at: at(100),
            mended: None,
            noticed: None,
            buried: None,
            victims: victims.iter().map(|uid| ((*uid).to_owned(), 1)).collect(),
            items: items.iter().map(|item| (*item).to_owned()).collect(),
            bots: 1,
        }
    }

    fn measured(effect: &Effect) -> Vec<(Measure, f64)> {
        effect.measures.iter().map(|(measure, value)| (*measure, *value)).collect()
    }

    #[test]
    fn a_browser_is_back_when_the_next_one_has_all_items() {
        let looks = [
            (99, Some(bot("working", 1, &["a", "b", "c"]))),
            // It does not know yet.
            (101, Some(bot("working", 1, &["a", "b", "c"]))),
            (102, Some(bot("rebuilding", 2, &[]))),
            (104, Some(bot("working", 2, &["a"]))),
            (106, Some(bot("working", 2, &["a", "b"]))),
        ];
        let history = history(vec![("x", pod("bot", 1, None, &looks))]);
        let stored = BTreeMap::from([("c".to_owned(), at(107)), ("b".to_owned(), at(150))]);
        let effect = effect(
            &fault(Scenario::HungChrome, &["x"], &["a", "b", "c"]),
            &history,
            &stored,
            &BTreeSet::new(),
        );
        assert_eq!(measured(&effect), [(Measure::Noticed, 2.0), (Measure::HeldAgain, 7.0)]);
        assert!(effect.forsaken.is_empty() && effect.unseen.is_empty());
    }

    #[test]
    fn what_nobody_holds_again_is_told_by_name() {
        let looks = [(99, Some(bot("working", 1, &["a"]))), (101, Some(bot("working", 1, &["a"])))];
        let history = history(vec![("x", pod("bot", 1, None, &looks))]);
        let stored = BTreeMap::from([("a".to_owned(), at(80))]);
        let effect =
            effect(&fault(Scenario::DeadChrome, &["x"], &["a"]), &history, &stored, &BTreeSet::new());
        assert_eq!(effect.forsaken, ["a"]);
        assert_eq!(effect.unseen, [Measure::Noticed, Measure::HeldAgain]);
    }

    #[test]
    fn a_bot_is_replaced_by_another_that_works() {
        let old = [(99, Some(bot("working", 1, &["a"])))];
        let new = [(106, Some(bot("starting", 0, &[]))), (109, Some(bot("working", 0, &["a"])))];
        let history =
            history(vec![("x", pod("bot", 1, Some(101), &old)), ("y", pod("bot", 103, None, &new))]);
        let effect = effect(
            &fault(Scenario::DeadBot, &["x"], &["a"]),
            &history,
            &BTreeMap::new(),
            &BTreeSet::from(["x".to_owned()]),
        );
        let expected = [(Measure::Noticed, 1.0), (Measure::HeldAgain, 9.0), (Measure::Replaced, 8.0)];
        assert_eq!(measured(&effect), expected);
        assert_eq!((effect.struck, effect.bystanders), (vec!["bot-1".to_owned()], 0));
    }

    #[test]
    fn a_watcher_is_followed_by_another_that_watches() {
        let watcher = |active| Said { state: "watching".to_owned(), active, ..Said::default() };
        let history = history(vec![
            ("x", pod("watcher", 1, None, &[(101, Some(watcher(true)))])),
            ("y", pod("watcher", 1, None, &[(101, Some(watcher(false))), (102, Some(watcher(true)))])),
        ]);
        let effect = effect(
            &fault(Scenario::WatcherKilled, &["x"], &[]),
            &history,
            &BTreeMap::new(),
            &BTreeSet::from(["x".to_owned()]),
        );
        assert_eq!(measured(&effect), [(Measure::TakenOver, 2.0)]);
    }

    #[test]
    fn a_watcher_that_hangs_is_noticed_before_another_watches() {
        let watcher = |active| Some(Said { state: "watching".to_owned(), active, ..Said::default() });
        let other = pod("watcher", 1, None, &[(101, watcher(false)), (105, watcher(true))]);
        let measures = |scenario, hung: PodRecord| {
            let history = history(vec![("x", hung), ("y", other.clone())]);
            let fault = fault(scenario, &["x"], &[]);
            measured(&effect(&fault, &history, &BTreeMap::new(), &BTreeSet::new()))
        };
        // It says so itself.
        let blind = pod("watcher", 1, None, &[(101, watcher(true)), (104, watcher(false))]);
        let expected = [(Measure::Noticed, 4.0), (Measure::TakenOver, 1.0)];
        assert_eq!(measures(Scenario::WatcherHung, blind), expected);
        // It says nothing any more, and is ended.
        let stopped = pod("watcher", 1, Some(103), &[(99, watcher(true)), (101, None)]);
        let expected = [(Measure::Noticed, 3.0), (Measure::TakenOver, 2.0)];
        assert_eq!(measures(Scenario::WatcherStopped, stopped), expected);
    }

    #[test]
    fn a_poisonous_item_is_buried_and_the_others_are_held_again() {
        let looks = [
            (99, Some(bot("working", 1, &["a", "poison"]))),
            (102, Some(bot("working", 2, &["poison"]))),
            (104, Some(bot("working", 3, &["a"]))),
        ];
        let history = history(vec![("x", pod("bot", 1, None, &looks))]);
        let mut fault = fault(Scenario::PoisonItem, &["x"], &["a"]);
        let seen = |fault: &Fault| effect(fault, &history, &BTreeMap::new(), &BTreeSet::new());
        assert_eq!(seen(&fault).unseen, [Measure::Buried]);
        fault.buried = Some(at(130));
        let expected = [(Measure::Noticed, 2.0), (Measure::HeldAgain, 4.0), (Measure::Buried, 30.0)];
        assert_eq!(measured(&seen(&fault)), expected);
    }

    #[test]
    fn a_service_that_is_back_has_all_at_work_and_nobody_replaced() {
        let watcher = Said { state: "watching".to_owned(), active: true, ..Said::default() };
        let looks = [
            (155, Some(bot("working", 0, &["a"]))),
            (165, Some(bot("siteUnavailable", 0, &["a"]))),
            (167, Some(bot("working", 0, &["a"]))),
        ];
        let history = history(vec![
            ("w", pod("watcher", 1, None, &[(165, Some(watcher.clone())), (167, Some(watcher))])),
            ("x", pod("bot", 1, None, &looks)),
            ("z", pod("bot", 1, Some(130), &[])),
        ]);
        let mut fault = fault(Scenario::SiteUnavailable, &[], &[]);
        fault.mended = Some(at(160));
        let effect = effect(&fault, &history, &BTreeMap::new(), &BTreeSet::from(["x".to_owned()]));
        assert_eq!((measured(&effect), effect.bystanders), (vec![(Measure::Resumed, 7.0)], 1));
    }

    #[test]
    fn a_site_is_back_when_what_was_open_has_moved_or_is_taken() {
        let still = |still| {
            let mut said = bot("working", 0, &["a"]);
            said.holds[0].still = still;
            Some(said)
        };
        let watcher = Said { state: "watching".to_owned(), active: true, ..Said::default() };
        let look = |second| (second, Some(watcher.clone()));
        let seconds = [100, 101, 104, 109];
        let with = |stills: [i64; 4], taken: Option<i64>| {
            let looks: Vec<_> = std::iter::zip(seconds, stills.map(still)).collect();
            let pods = [pod("watcher", 1, None, &seconds.map(look)), pod("bot", 1, None, &looks)];
            let fault = fault(Scenario::SiteCut, &[], &["a"]);
            let stored = taken.map(|second| ("a".to_owned(), at(second))).into_iter().collect();
            let effect = effect(
                &fault,
                &history(std::iter::zip(["w", "x"], pods).collect()),
                &stored,
                &BTreeSet::new(),
            );
            (effect.measures.get(&Measure::Resumed).copied(), effect.measures.get(&Measure::AllMove).copied())
        };
        // What is seen to move at once may have moved before.
        assert_eq!(with([0, 0, 3, 2], None), (Some(9.0), Some(9.0)));
        assert_eq!(with([0, 0, 0, 2], None), (Some(4.0), Some(4.0)));
        assert_eq!(with([0, 1, 4, 9], None), (None, None), "it has not moved since");
        assert_eq!(with([0, 1, 4, 9], Some(103)), (None, Some(3.0)));
        assert_eq!(with([0, 1, 4, 9], Some(99)), (None, None), "that was before");
    }
}
