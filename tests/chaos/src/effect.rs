//! What a fault did, read off the record: a function of values.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    Scenario,
    history::{History, Hold, PodRecord, Said},
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
    /// How many watchers had the list open before.
    pub watchers: usize,
    /// What was seen of it on the spot and must not be.
    pub wrong: Vec<String>,
    /// How long it took until all was well again.
    pub took: Duration,
}

impl Fault {
    /// When it was over: at once where there was nothing to mend.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.mended.unwrap_or(self.at)
    }
}

/// What is known of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// When its item was discovered.
    pub discovered: Timestamp,
    /// When it was taken.
    pub at: Timestamp,
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
    /// Pods that ended soon after it though no fault struck them.
    pub bystanders: Vec<String>,
    /// How often a watcher said soon after it that the list may have moved on unseen.
    pub gaps: u64,
    /// What must not be and was, in words.
    pub wrong: Vec<String>,
    /// How long it took until all was well again, in seconds.
    pub took: f64,
}

/// How long after a fault something may still be its effect.
const LASTS: i64 = 180;

/// How long after the end of a fault a pod may end of it, and a watcher may find that it has missed something, in seconds.
const AFTERMATH: i64 = 30;

/// A bot looks at its items every three seconds: what it sees move within this after a moment may have moved before it.
const SEEN_LATE: i64 = 3;

/// How long an artifact that was taken may be on its way to the store, in seconds.
const ON_ITS_WAY: i64 = 10;

/// What a fault did. `stored` tells of the artifact of each item, `struck` all pods that any fault struck.
#[must_use]
pub fn effect(
    fault: &Fault,
    history: &History,
    stored: &BTreeMap<String, Taken>,
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
        gaps: reading.gaps(),
        wrong: reading.wrong(),
        took: fault.took.as_secs_f64(),
    }
}

struct Reading<'a> {
    fault: &'a Fault,
    history: &'a History,
    stored: &'a BTreeMap<String, Taken>,
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

    /// When the last item is held again, by the same bot where only its browser was struck, and the items that never are,
    /// by any.
    fn held_again(&self) -> (Option<f64>, Vec<String>) {
        let items = &self.fault.items;
        let stay = self.fault.scenario.strikes() == Strikes::Browser;
        let forsaken = items.iter().filter(|item| self.again(item, false).is_none()).cloned().collect();
        let all: Option<Vec<_>> = items.iter().map(|item| self.again(item, stay)).collect();
        let last = |all: Vec<Timestamp>| all.into_iter().max().map_or(0.0, |at| self.after(at).max(0.0));
        (all.map(last), forsaken)
    }

    /// When an item is open in a browser that the fault did not strike, or its artifact was taken. `by_the_same`: a bot
    /// that it struck has it open.
    fn again(&self, item: &str, by_the_same: bool) -> Option<Timestamp> {
        let victims = &self.fault.victims;
        let counts = |(uid, _): &(&String, &PodRecord)| !by_the_same || victims.contains_key(*uid);
        let opened = self.history.pods.iter().filter(counts).filter_map(|(uid, pod)| {
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
        let taken = self.stored.get(item).map(|taken| taken.at).filter(lately);
        let taken = taken.map(|at| at.max(self.fault.at));
        opened.chain(taken).min()
    }

    /// Until as many bots as before hold something, none of them struck, and with a node as many watchers see the list.
    fn replaced(&self, noticed: Option<f64>) -> Option<f64> {
        let from = if self.fault.scenario.is_timed_from_notice() { noticed? } else { 0.0 };
        let watchers = if self.fault.scenario.strikes() == Strikes::Node { self.fault.watchers } else { 0 };
        let enough = |at: Timestamp| {
            let sound = || {
                let pods = self.history.pods.iter();
                let sound = pods
                    .filter(move |(uid, pod)| !self.fault.victims.contains_key(*uid) && pod.is_live_at(at));
                sound.filter_map(move |(_, pod)| Some((pod, pod.said_at(at)?)))
            };
            let bots = sound().filter(|(pod, said)| pod.is_bot() && self.holds(said, at)).count();
            let watching = sound().filter(|(_, said)| said.sees_the_list()).count();
            bots >= self.fault.bots && watching >= watchers && self.after(at) >= from
        };
        self.first(self.fault.at, enough).map(|at| self.after(at) - from)
    }

    /// Whether a bot that says this holds something, or would if there were anything to hold.
    fn holds(&self, said: &Said, at: Timestamp) -> bool {
        said.works() && (said.open().next().is_some() || !self.any_waits(at))
    }

    /// Whether an item waits for a bot: it was discovered, its artifact was taken later, and no bot says that it has it.
    fn any_waits(&self, at: Timestamp) -> bool {
        let has = |pod: &PodRecord, item: &String| {
            let said = pod.said_at(at).filter(|_| pod.is_live_at(at));
            said.is_some_and(|said| said.holds.iter().any(|hold| hold.item == *item))
        };
        let mut there = self.stored.iter().filter(|(_, taken)| taken.discovered <= at && at < taken.at);
        there.any(|(item, _)| !self.history.pods.values().any(|pod| has(pod, item)))
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
            moved.chain(self.stored.get(item).map(|taken| taken.at).filter(|at| *at >= end)).min()
        };
        let all: Option<Vec<_>> = self.fault.items.iter().map(moves).collect();
        Some(all?.into_iter().max().map_or(0.0, |at| at.duration_since(end).as_secs_f64()))
    }

    /// Whether an open item has moved since the fault was over, as its bot said at a moment.
    fn has_moved(&self, hold: &Hold, at: Timestamp) -> bool {
        let margin = if self.fault.mended.is_some() { 0 } else { SEEN_LATE };
        hold.is_open() && at.duration_since(self.fault.end()).as_secs() > hold.still + margin
    }

    /// Whether a moment is so soon after the fault that what happens may be its doing.
    fn is_soon(&self, at: Timestamp) -> bool {
        at >= self.fault.at && at.duration_since(self.fault.end()).as_secs() < AFTERMATH
    }

    /// Pods that ended soon after the fault though no fault struck them.
    fn bystanders(&self) -> Vec<String> {
        let others = self
            .history
            .pods
            .iter()
            .filter(|(uid, pod)| pod.from < self.fault.at && !self.struck.contains(*uid));
        let ended = others.filter(|(_, pod)| pod.ended.is_some_and(|at| self.is_soon(at)));
        ended.map(|(_, pod)| pod.name.clone()).collect()
    }

    /// How many gaps watchers have counted soon after the fault.
    fn gaps(&self) -> u64 {
        let of = |pod: &PodRecord| {
            let before = pod.before(self.fault.at).map_or(0, |said| said.gaps);
            let since = pod.since(self.fault.at).take_while(|(at, _)| self.is_soon(*at));
            since.map(|(_, said)| said.gaps).max().map_or(0, |gaps| gaps.saturating_sub(before))
        };
        self.history.pods.values().map(of).sum()
    }

    /// What must not be and was, in words.
    fn wrong(&self) -> Vec<String> {
        let mut wrong = self.fault.wrong.clone();
        let (bystanders, gaps) = (self.bystanders(), self.gaps());
        if !bystanders.is_empty() {
            wrong.push(format!("pods ended that it did not strike: {}", bystanders.join(", ")));
        }
        if gaps > 0 && self.fault.scenario.leaves_no_gap() {
            wrong.push(format!("gaps in what was discovered: {gaps}"));
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::history::{Browser, Look};

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
        let look =
            |(second, said): &(i64, Option<Said>)| Look { at: at(*second), said: said.clone().map(Arc::new) };
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
            watchers: 0,
            wrong: Vec::new(),
            took: Duration::ZERO,
        }
    }

    /// An artifact that was taken at a time, of an item that was discovered at another.
    fn taken(item: &str, discovered: i64, second: i64) -> (String, Taken) {
        (item.to_owned(), Taken { discovered: at(discovered), at: at(second) })
    }

    fn watcher(state: &str, active: bool, gaps: u64) -> Said {
        Said { state: state.to_owned(), active, gaps, ..Said::default() }
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
        let stored = BTreeMap::from([taken("c", 90, 107), taken("b", 90, 150)]);
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
        let stored = BTreeMap::from([taken("a", 70, 80)]);
        let effect =
            effect(&fault(Scenario::DeadChrome, &["x"], &["a"]), &history, &stored, &BTreeSet::new());
        assert_eq!(effect.forsaken, ["a"]);
        assert_eq!(effect.unseen, [Measure::Noticed, Measure::HeldAgain]);
    }

    #[test]
    fn only_the_bot_whose_browser_was_struck_holds_its_items_again() {
        let own = [(99, Some(bot("working", 1, &["a", "b"]))), (103, Some(bot("working", 2, &["a"])))];
        let other = [(99, Some(bot("working", 0, &[]))), (102, Some(bot("working", 0, &["b"])))];
        let history = history(vec![("x", pod("bot", 1, None, &own)), ("y", pod("bot", 1, None, &other))]);
        let seen = |scenario| {
            effect(&fault(scenario, &["x"], &["a", "b"]), &history, &BTreeMap::new(), &BTreeSet::new())
        };
        let of_browser = seen(Scenario::HungChrome);
        assert_eq!(of_browser.unseen, [Measure::HeldAgain]);
        assert!(of_browser.forsaken.is_empty(), "another has it");
        assert_eq!(seen(Scenario::PoisonItem).measures.get(&Measure::HeldAgain), Some(&3.0));
    }

    /// What is measured when a bot that ended is followed by another.
    fn followed(scenario: Scenario, stored: &BTreeMap<String, Taken>) -> Effect {
        let old = [(99, Some(bot("working", 1, &["a"])))];
        let new = [
            (106, Some(bot("starting", 0, &[]))),
            (109, Some(bot("working", 0, &[]))),
            (110, Some(bot("working", 0, &["a"]))),
        ];
        let history =
            history(vec![("x", pod("bot", 1, Some(101), &old)), ("y", pod("bot", 103, None, &new))]);
        let struck = BTreeSet::from(["x".to_owned()]);
        effect(&fault(scenario, &["x"], &["a"]), &history, stored, &struck)
    }

    #[test]
    fn a_bot_is_replaced_when_another_holds_something_that_waits() {
        let measures = |noticed, held_again, replaced| {
            let all = [(Measure::Noticed, noticed), (Measure::HeldAgain, held_again)];
            [all[0], all[1], (Measure::Replaced, replaced)]
        };
        let waits = || BTreeMap::from([taken("a", 90, 150)]);
        let effect = followed(Scenario::DeadBot, &waits());
        assert_eq!(measured(&effect), measures(1.0, 10.0, 10.0), "from the fault");
        assert_eq!((effect.struck, effect.wrong), (vec!["bot-1".to_owned()], Vec::new()));
        let hung = followed(Scenario::HungBot, &waits());
        assert_eq!(measured(&hung), measures(1.0, 10.0, 9.0), "from the notice");
        let unbuildable = followed(Scenario::UnbuildableBrowser, &waits());
        assert_eq!(measured(&unbuildable), measures(1.0, 10.0, 9.0), "from the notice");
        // Who has nothing to hold is as ready as who holds something.
        for nothing in [BTreeMap::new(), BTreeMap::from([taken("b", 110, 150), taken("c", 90, 109)])] {
            assert_eq!(followed(Scenario::DeadBot, &nothing).measures.get(&Measure::Replaced), Some(&9.0));
        }
    }

    #[test]
    fn a_node_is_made_up_for_when_its_watchers_are_too() {
        let history = history(vec![
            ("x", pod("bot", 1, Some(101), &[(99, Some(bot("working", 0, &[])))])),
            ("w", pod("watcher", 1, Some(101), &[(99, Some(watcher("watching", true, 0)))])),
            ("y", pod("bot", 103, None, &[(109, Some(bot("working", 0, &[]))), (112, None)])),
            (
                "v",
                pod(
                    "watcher",
                    104,
                    None,
                    &[(108, Some(watcher("starting", false, 0))), (110, Some(watcher("standby", false, 0)))],
                ),
            ),
        ]);
        let mut fault = fault(Scenario::NodeGone, &["x", "w"], &[]);
        let replaced = |fault: &Fault| {
            let effect = effect(fault, &history, &BTreeMap::new(), &BTreeSet::new());
            effect.measures.get(&Measure::Replaced).copied()
        };
        assert_eq!(replaced(&fault), Some(9.0), "there was none");
        fault.watchers = 1;
        assert_eq!(replaced(&fault), Some(10.0));
        fault.watchers = 2;
        assert_eq!(replaced(&fault), None);
    }

    #[test]
    fn a_watcher_is_followed_by_another_that_watches_and_has_missed_nothing() {
        let with = |scenario, gaps: u64| {
            let next = [
                (95, Some(watcher("standby", false, 1))),
                (101, Some(watcher("watching", false, 1))),
                (102, Some(watcher("watching", true, 1 + gaps))),
            ];
            let history = history(vec![
                ("x", pod("watcher", 1, None, &[(99, Some(watcher("watching", true, 3)))])),
                ("y", pod("watcher", 1, None, &next)),
            ]);
            let struck = BTreeSet::from(["x".to_owned()]);
            effect(&fault(scenario, &["x"], &[]), &history, &BTreeMap::new(), &struck)
        };
        let well = with(Scenario::WatcherKilled, 0);
        assert_eq!(measured(&well), [(Measure::TakenOver, 2.0)]);
        assert_eq!((well.gaps, well.wrong), (0, Vec::new()));
        let ill = with(Scenario::WatcherKilled, 2);
        assert_eq!((ill.gaps, ill.wrong), (2, vec!["gaps in what was discovered: 2".to_owned()]));
        let both = with(Scenario::WatchersKilled, 2);
        assert_eq!((both.gaps, both.wrong), (2, Vec::new()), "nobody was there to see it");
    }

    #[test]
    fn who_ends_without_being_struck_is_named_whatever_it_is() {
        let history = history(vec![
            ("a", pod("bot", 1, Some(129), &[])),
            ("b", pod("bot", 2, Some(131), &[])),
            ("c", pod("bot", 3, Some(99), &[])),
            ("d", pod("bot", 101, Some(110), &[])),
            ("e", pod("bot", 4, Some(110), &[])),
            ("f", pod("watcher", 5, Some(110), &[])),
        ]);
        let struck = BTreeSet::from(["e".to_owned()]);
        let mut fault = fault(Scenario::LeaderCut, &[], &[]);
        let seen = effect(&fault, &history, &BTreeMap::new(), &struck);
        assert_eq!(seen.bystanders, ["bot-1", "watcher-5"]);
        assert_eq!(seen.wrong, ["pods ended that it did not strike: bot-1, watcher-5"]);
        fault.wrong.push("its letter has no reason".to_owned());
        fault.mended = Some(at(105));
        let seen = effect(&fault, &history, &BTreeMap::new(), &struck);
        assert_eq!(seen.bystanders, ["bot-1", "bot-2", "watcher-5"]);
        assert_eq!(seen.wrong[0], "its letter has no reason");
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
        let looks = [
            (155, Some(bot("working", 0, &["a"]))),
            (165, Some(bot("siteUnavailable", 0, &["a"]))),
            (167, Some(bot("working", 0, &["a"]))),
        ];
        let history = history(vec![
            ("w", pod("watcher", 1, None, &[165, 167].map(|at| (at, Some(watcher("watching", true, 0)))))),
            ("x", pod("bot", 1, None, &looks)),
            ("z", pod("bot", 1, Some(130), &[])),
        ]);
        let mut fault = fault(Scenario::SiteUnavailable, &[], &[]);
        fault.mended = Some(at(160));
        let effect = effect(&fault, &history, &BTreeMap::new(), &BTreeSet::from(["x".to_owned()]));
        assert_eq!(measured(&effect), [(Measure::Resumed, 7.0)]);
        assert_eq!(effect.wrong, ["pods ended that it did not strike: bot-1"]);
    }

    #[test]
    fn a_site_is_back_when_what_was_open_has_moved_or_is_taken() {
        let still = |still| {
            let mut said = bot("working", 0, &["a"]);
            said.holds[0].still = still;
            Some(said)
        };
        let look = |second| (second, Some(watcher("watching", true, 0)));
        let seconds = [100, 101, 104, 109];
        let with = |stills: [i64; 4], ended: Option<i64>| {
            let looks: Vec<_> = std::iter::zip(seconds, stills.map(still)).collect();
            let pods = [pod("watcher", 1, None, &seconds.map(look)), pod("bot", 1, None, &looks)];
            let fault = fault(Scenario::SiteCut, &[], &["a"]);
            let stored = ended.map(|second| taken("a", 90, second)).into_iter().collect();
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
