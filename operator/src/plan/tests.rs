//! What is planned in which situation.

use std::collections::BTreeMap;

use jiff::Timestamp;
use scrapefleet_api::ScrapeFleetSpec;
use scrapefleet_api::queue::OnDelete;

use super::{
    Action, Because, Depth, ExitReason, Fleet, Hold, Memory, ObservedPod, Plan, ReportedState, Revisions,
    Role, Situation, Stage, WhyCreate, WhyDelete,
    fixture::{pod, second, spec},
    plan, share_of_new,
};
use crate::Observed;

const NOW: i64 = 1000;

/// A situation that tests change.
struct Case {
    spec: ScrapeFleetSpec,
    fleet: Fleet,
    revisions: Revisions,
    blocked: bool,
    pods: Vec<ObservedPod>,
    ends_by: BTreeMap<String, Timestamp>,
    depth: Observed<Depth>,
    memory: Memory,
    now: Timestamp,
}

/// A fleet of `min` to `max` bots of ten holds each, with a watcher that is well, and so many items that wait.
fn case(min: i32, max: i32, ready: u64) -> Case {
    let mut spec = spec(min, max);
    spec.watcher.standby = false;
    let case = Case {
        spec,
        fleet: Fleet { has_finalizer: true, ..Fleet::default() },
        revisions: Revisions { bot: "r1".into(), watcher: "w1".into() },
        blocked: false,
        pods: Vec::new(),
        ends_by: BTreeMap::new(),
        depth: Observed::unread("not read yet"),
        memory: Memory::default(),
        now: second(NOW),
    };
    case.with_depth(ready, 0).with_pods([pod(0).watcher()])
}

impl Case {
    fn with_depth(mut self, ready: u64, delayed: u64) -> Self {
        self.depth = Observed::Read { value: Depth { ready, held: 0, delayed, dead: 0 }, at: self.now };
        self
    }

    /// Adds pods; they have the share they should have, reports are of now, ends were seen when they came.
    fn with_pods(mut self, pods: impl IntoIterator<Item = ObservedPod>) -> Self {
        for mut pod in pods {
            if let Observed::Read { at, .. } = &mut pod.report {
                *at = self.now;
            }
            if let Some(exit) = pod.exit() {
                self.memory.saw_end(&pod.uid, exit.at);
            }
            self.pods.push(pod);
        }
        let count = |role| self.pods.iter().filter(|pod| pod.role == role && pod.exit().is_none()).count();
        let (bots, watchers) = (count(Role::Bot), count(Role::Watcher));
        let share =
            super::share::share_of(&self.spec.politeness, self.spec.bots.holds_per_bot, bots, watchers);
        for pod in &mut self.pods {
            pod.share = Some(share);
        }
        self
    }

    fn with_spec(mut self, change: impl FnOnce(&mut ScrapeFleetSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    fn situation(&self) -> Situation<'_> {
        Situation {
            spec: &self.spec,
            fleet: self.fleet,
            revisions: &self.revisions,
            blocked: self.blocked,
            pods: &self.pods,
            ends_by: &self.ends_by,
            depth: &self.depth,
            now: self.now,
        }
    }

    fn plan(&self) -> Plan {
        plan(&self.situation(), &self.memory)
    }

    /// What is planned, in short: `+bot 0`, `-fleet-bot-0-x NotNeeded`; shares are left out.
    fn said(&self) -> Vec<String> {
        self.plan().actions.iter().filter_map(said).collect()
    }

    /// What is planned after so many seconds in which it was asked every second.
    fn said_after(&mut self, seconds: i64) -> Vec<String> {
        for _ in 0..seconds {
            let plan = self.plan();
            self.memory = plan.memory;
            self.now = self.now.checked_add(std::time::Duration::from_secs(1)).unwrap();
            let now = self.now;
            if let Observed::Read { at, .. } = &mut self.depth {
                *at = now;
            }
            for pod in &mut self.pods {
                if let Observed::Read { at, .. } = &mut pod.report {
                    *at = now;
                }
            }
        }
        self.said()
    }
}

fn said(action: &Action) -> Option<String> {
    Some(match action {
        Action::AddFinalizer => "finalizer".to_owned(),
        Action::Deal { .. } => return None,
        Action::Create { role, slot, why, failures, probes_site } => {
            let role = if *role == Role::Bot { "bot" } else { "watcher" };
            let why = match why {
                WhyCreate::Needed => String::new(),
                WhyCreate::Exchange => " exchange".to_owned(),
                WhyCreate::Replaces { pod, exit, .. } => {
                    format!(" for {pod} {} failures {failures}", exit.why.word())
                }
                WhyCreate::Abandons { pod, why, .. } => {
                    format!(" for {pod} {} failures {failures}", why.word())
                }
            };
            format!("+{role} {slot}{why}{}", if *probes_site { " probes the site" } else { "" })
        }
        Action::Delete { pod, why, .. } => format!("-{pod} {why:?}"),
        Action::RemoveQueues => "queues".to_owned(),
        Action::RemoveFinalizer => "let go".to_owned(),
    })
}

fn ready(count: u32) -> impl Iterator<Item = ObservedPod> {
    (0..count).map(|slot| pod(slot).holding(5, second(NOW)))
}

#[test]
fn a_new_fleet_gets_its_finalizer_a_watcher_and_its_bots() {
    let mut case = case(2, 5, 0);
    case.pods.clear();
    case.fleet.has_finalizer = false;
    assert_eq!(case.said(), ["finalizer", "+watcher 0", "+bot 0", "+bot 1"]);
    case.spec.watcher.standby = true;
    assert_eq!(case.said()[1..3], ["+watcher 0", "+watcher 1"]);
}

#[test]
fn bots_follow_the_queue_within_bounds() {
    for (ready_items, expected) in [(0, 1), (10, 1), (11, 2), (45, 5), (1000, 5)] {
        assert_eq!(case(1, 5, ready_items).plan().target.count, expected, "{ready_items}");
    }
    assert_eq!(case(0, 5, 0).plan().target.count, 0);
    assert_eq!(case(0, 5, 0).with_depth(0, 3).plan().target.count, 1, "something will be due soon");
}

#[test]
fn a_second_look_plans_nothing() {
    let case = case(1, 5, 45).with_pods(ready(5));
    assert_eq!(case.plan().actions, []);
}

#[test]
fn pods_that_are_on_their_way_count() {
    let case = case(1, 5, 45).with_pods([pod(0), pod(1).pending(), pod(2).starting()]);
    assert_eq!(case.said(), ["+bot 3", "+bot 4"]);
}

#[test]
fn fewer_bots_must_be_enough_for_a_while_before_the_least_busy_is_drained() {
    let mut case = case(1, 5, 0).with_pods([
        pod(0).holding(3, second(NOW)),
        pod(1).holding(0, second(NOW)),
        pod(2).holding(7, second(NOW)),
    ]);
    case = case.with_depth(20, 0);
    assert_eq!(case.said_after(29), [] as [&str; 0]);
    assert_eq!(case.said_after(1), ["-fleet-bot-1-x NotNeeded"]);
}

#[test]
fn a_depth_that_cannot_be_read_changes_nothing() {
    for depth in [
        Observed::unread("connection refused"),
        Observed::Read { value: Depth::default(), at: second(NOW - 16) },
    ] {
        let mut case = case(1, 9, 0).with_pods(ready(4));
        case.depth = depth;
        let plan = case.plan();
        assert_eq!(plan.actions, []);
        assert_eq!((plan.target.count, plan.target.because), (4, Because::Kept));
        assert!(matches!(plan.target.hold, Some(Hold::DepthUnread(_))));
    }
}

#[test]
fn without_a_depth_what_dies_is_still_replaced() {
    let mut case = case(1, 9, 0).with_pods(ready(2)).with_pods([pod(2).ended(13, second(NOW - 100))]);
    case.depth = Observed::unread("down");
    assert_eq!(
        case.said(),
        ["+bot 2 for fleet-bot-2-x QueueUnreachable failures 1", "-fleet-bot-2-x Replaced"]
    );
}

#[test]
fn who_scales_by_hand_or_by_hpa_is_obeyed_at_once_within_bounds() {
    let at =
        |replicas| case(1, 5, 0).with_pods(ready(3)).with_spec(|spec| spec.bots.replicas = Some(replicas));
    assert_eq!(at(4).said(), ["+bot 3"]);
    assert_eq!(at(99).said(), ["+bot 3", "+bot 4"]);
    assert_eq!(at(0).said(), ["-fleet-bot-2-x NotNeeded", "-fleet-bot-1-x NotNeeded"]);
    let mut unread = at(4);
    unread.depth = Observed::unread("down");
    assert_eq!(unread.said(), ["+bot 3"]);
}

#[test]
fn ended_bots_are_replaced_as_their_exit_says() {
    let slot_2 = |code: i32, ago: i64| {
        let dead = pod(2).ended(code, second(NOW - ago));
        case(3, 3, 0).with_pods(ready(2)).with_pods([dead]).said().first().cloned()
    };
    let replaced =
        |word: &str, failures| Some(format!("+bot 2 for fleet-bot-2-x {word} failures {failures}"));
    assert_eq!(slot_2(0, 0), replaced("Drained", 0));
    assert_eq!(slot_2(11, 0), replaced("Released", 0));
    assert_eq!(slot_2(16, 0), replaced("Recycled", 0));
    assert_eq!(slot_2(10, 0), replaced("BrowserNotRebuilt", 1));
    assert_eq!(slot_2(20, 0), replaced("NoProgress", 1));
    assert_eq!(slot_2(137, 0), replaced("Crashed", 1));
    assert_eq!(slot_2(13, 1), None);
    assert_eq!(slot_2(13, 2), replaced("QueueUnreachable", 1));
    assert_eq!(slot_2(14, 1), None);
    assert_eq!(slot_2(14, 2), replaced("StoreUnreachable", 1));
    assert_eq!(slot_2(15, 9999), None);
}

/// The clock of the node says that it ended ten minutes ago, or will in ten minutes.
#[test]
fn a_slot_waits_as_long_whatever_the_clock_of_its_node_says() {
    for clock in [-600, 600] {
        let dead = pod(2).ended(10, second(NOW + clock)).with(|pod| pod.failures = 3);
        let mut case = case(3, 3, 0).with_pods(ready(2));
        case.pods.push(dead);
        assert_eq!(case.said_after(19), [] as [&str; 0], "{clock} s off");
        let said = case.said_after(1);
        assert_eq!(said[0], "+bot 2 for fleet-bot-2-x BrowserNotRebuilt failures 4", "{clock} s off");
    }
}

#[test]
fn a_queue_that_was_made_otherwise_is_tried_again_later_each_time_up_to_five_minutes() {
    let slot_2 = |failures, ago| {
        let dead = pod(2).ended(13, second(NOW - ago)).with(|pod| {
            pod.failures = failures;
            if let Stage::Ended(exit) = &mut pod.stage {
                exit.why = ExitReason::QueueMismatch;
            }
        });
        case(3, 3, 0).with_pods(ready(2)).with_pods([dead]).said().first().cloned()
    };
    for (failures, pause) in [(0, 10), (1, 20), (4, 160), (5, 300), (99, 300)] {
        assert_eq!(slot_2(failures, pause - 1), None, "{failures}");
        let again = format!("+bot 2 for fleet-bot-2-x QueueMismatch failures {}", failures + 1);
        assert_eq!(slot_2(failures, pause), Some(again));
    }
}

#[test]
fn who_ended_is_not_followed_twice_whatever_has_become_of_the_pod_that_followed() {
    let follower = || pod(0).with(|pod| (pod.name, pod.uid) = ("fleet-bot-0-y".into(), "uid-y".into()));
    for follower in [follower().with(|pod| pod.fenced = true), follower().with(|pod| pod.terminating = true)]
    {
        let case = case(1, 1, 0).with_pods([pod(0).ended(137, second(NOW)), follower.clone()]);
        assert_eq!(case.said(), ["+bot 1", "-fleet-bot-0-x Ended"], "{follower:?}");
    }
}

#[test]
fn a_manifest_that_a_bot_refuses_stops_replacing_until_it_changes() {
    let mut case = case(3, 3, 0)
        .with_pods(ready(1))
        .with_pods([pod(1).ended(15, second(1)), pod(2).ended(10, second(1))]);
    assert_eq!(case.said(), [] as [&str; 0]);
    assert_eq!(case.plan().refused_by.as_deref(), Some("fleet-bot-1-x"));
    case.revisions.bot = "r2".into();
    assert_eq!(case.plan().refused_by, None);
    assert!(case.said().contains(&"+bot 1 for fleet-bot-1-x BadConfiguration failures 0".to_owned()));
}

#[test]
fn when_the_site_is_gone_one_bot_finds_out_whether_it_is_back() {
    let dead = |slot| pod(slot).ended(12, second(NOW - 60));
    let mut case = case(3, 3, 0).with_pods([dead(0), dead(1), dead(2)]);
    assert_eq!(
        case.said(),
        ["+bot 0 for fleet-bot-0-x SiteUnavailable failures 1 probes the site", "-fleet-bot-0-x Replaced"]
    );
    assert_eq!(case.plan().target.hold, Some(Hold::SiteUnavailable));
    let probe = pod(0).with(|pod| pod.probes_site = true);
    let at = second(NOW);
    case.pods.retain(|pod| pod.name != "fleet-bot-0-x");
    let mut on_its_way = case.with_pods([probe.clone().starting()]);
    assert_eq!(on_its_way.said(), [] as [&str; 0]);
    on_its_way.pods.pop();
    let mut not_back = on_its_way.with_pods([probe.clone().reporting(ReportedState::SiteUnavailable, 0, at)]);
    assert_eq!(not_back.said(), [] as [&str; 0]);
    not_back.pods.pop();
    let back = not_back.with_pods([probe]);
    assert_eq!(back.said().iter().filter(|said| said.starts_with('+')).count(), 2);
}

#[test]
fn one_site_failure_among_bots_that_work_stops_nobody() {
    let case = case(1, 9, 90).with_pods(ready(4)).with_pods([pod(4).ended(12, second(NOW - 15))]);
    assert_eq!(case.plan().target.hold, None);
    assert_eq!(case.said()[0], "+bot 4 for fleet-bot-4-x SiteUnavailable failures 1");
    assert_eq!(case.said().iter().filter(|said| said.starts_with('+')).count(), 5);
}

#[test]
fn a_fenced_bot_is_out_of_the_count_and_left_alone() {
    let mut case = case(2, 2, 0).with_pods([pod(0), pod(1).with(|pod| pod.fenced = true)]);
    assert_eq!(case.said(), ["+bot 2"]);
    case.pods[2] = case.pods[2].clone().ended(10, second(1));
    case.spec.suspend = true;
    assert!(!case.said().iter().any(|said| said.contains("fleet-bot-1")), "{:?}", case.said());
}

#[test]
fn a_paused_fleet_is_left_alone() {
    let mut case = case(5, 5, 0);
    case.fleet = Fleet { paused: true, deleting: true, ..Fleet::default() };
    assert_eq!(case.plan().actions, []);
}

#[test]
fn a_manifest_that_is_wrong_leaves_pods_as_they_are() {
    let mut case = case(2, 5, 45).with_pods(ready(3));
    case.fleet.invalid = true;
    case.revisions.bot = "r2".into();
    assert_eq!(case.plan().actions, []);
}

#[test]
fn nothing_is_made_while_something_that_pods_need_is_missing() {
    let mut case = case(3, 5, 0).with_pods(ready(1));
    case.blocked = true;
    assert_eq!(case.said(), [] as [&str; 0]);
}

#[test]
fn a_suspended_fleet_drains_and_stops_discovering() {
    let case = case(2, 5, 45).with_pods(ready(2)).with_spec(|spec| spec.suspend = true);
    assert_eq!(
        case.said(),
        ["-fleet-watcher-0-x NotNeeded", "-fleet-bot-1-x NotNeeded", "-fleet-bot-0-x NotNeeded"]
    );
}

#[test]
fn a_deleted_fleet_drains_then_goes_as_it_says() {
    let mut case = case(1, 5, 45).with_pods(ready(1));
    case.fleet.deleting = true;
    assert_eq!(case.said(), ["-fleet-watcher-0-x NotNeeded", "-fleet-bot-0-x NotNeeded"]);
    case.pods.remove(0);
    case.pods[0].terminating = true;
    assert_eq!(case.said(), [] as [&str; 0], "it still drains");
    case.ends_by.insert("uid-0".into(), second(NOW - 31));
    assert_eq!(case.said(), ["let go"], "its node is gone");
    case.pods[0].fenced = true;
    case.ends_by.clear();
    assert_eq!(case.said(), ["let go"]);
    case.spec.queue.rabbitmq.as_mut().unwrap().on_delete = OnDelete::Delete;
    assert_eq!(case.said(), ["queues", "let go"]);
    case.fleet.has_finalizer = false;
    assert_eq!(case.said(), [] as [&str; 0]);
}

#[test]
fn a_roll_adds_one_and_takes_the_least_busy_when_it_is_ready() {
    let old = |slot, held| pod(slot).holding(held, second(NOW));
    let mut case = case(3, 3, 0).with_pods([old(0, 4), old(1, 2), old(2, 9)]);
    case.revisions.bot = "r2".into();
    assert_eq!(case.said(), ["+bot 3 exchange"]);
    let new = |slot| pod(slot).with(|pod| pod.revision = "r2".into());
    case = case.with_pods([new(3).starting()]);
    assert_eq!(case.said(), [] as [&str; 0], "it is not ready yet");
    case.pods.pop();
    case = case.with_pods([new(3)]);
    assert_eq!(case.said(), ["-fleet-bot-1-x Outdated"]);
    case.pods[2].terminating = true;
    assert_eq!(case.said(), [] as [&str; 0], "it still drains, and counts");
    case.pods.remove(2);
    assert_eq!(case.said(), ["+bot 1 exchange"]);
}

#[test]
fn a_roll_without_surge_takes_one_first() {
    let mut case = case(3, 3, 0).with_pods(ready(3)).with_spec(|spec| {
        spec.rollout.max_surge = 0;
        spec.rollout.max_unavailable = 1;
    });
    case.revisions.bot = "r2".into();
    assert_eq!(case.said(), ["-fleet-bot-2-x Outdated"]);
    case.pods[3].terminating = true;
    assert_eq!(case.said(), [] as [&str; 0]);
    case.pods.pop();
    assert_eq!(case.said(), ["+bot 2 exchange"]);
}

#[test]
fn a_roll_to_something_that_crashes_stops_at_the_first() {
    let crashed = pod(3).ended(1, second(NOW - 3)).with(|pod| {
        pod.revision = "r2".into();
        pod.failures = 4;
    });
    let mut case = case(3, 3, 0).with_pods(ready(3)).with_pods([crashed]);
    case.revisions.bot = "r2".into();
    assert_eq!(case.said(), [] as [&str; 0]);
    assert_eq!(case.plan().waiting.len(), 1);
}

#[test]
fn bots_that_serve_nobody_yet_are_exchanged_at_once() {
    let mut case = case(2, 2, 0).with_pods([pod(0).pending(), pod(1).starting()]);
    case.revisions.bot = "r2".into();
    let said = case.said();
    assert!(said.contains(&"-fleet-bot-0-x Outdated".into()), "{said:?}");
    assert!(said.contains(&"-fleet-bot-1-x Outdated".into()), "{said:?}");
}

#[test]
fn a_watcher_is_exchanged_the_new_one_first_and_replaced_when_it_dies() {
    let mut case = case(0, 1, 0);
    case.revisions.watcher = "w2".into();
    assert_eq!(case.said(), ["+watcher 1 exchange"]);
    case.revisions.watcher = "w1".into();
    case.pods[0] = case.pods[0].clone().ended(10, second(NOW));
    let said = case.said();
    assert_eq!(
        said,
        ["+watcher 0 for fleet-watcher-0-x BrowserNotRebuilt failures 1", "-fleet-watcher-0-x Replaced"]
    );
}

#[test]
fn the_active_watcher_is_exchanged_last() {
    let active = pod(0).watcher().with(|pod| {
        pod.report = Observed::Read {
            value: super::Report { active: true, ..super::Report::default() },
            at: second(NOW),
        };
    });
    let mut case = case(0, 1, 0).with_spec(|spec| spec.watcher.standby = true);
    case.pods.clear();
    let new = pod(2).watcher().with(|pod| pod.revision = "w2".into());
    let mut case = case.with_pods([active, pod(1).watcher(), new]);
    case.revisions.watcher = "w2".into();
    assert_eq!(case.said(), ["-fleet-watcher-1-x Outdated"]);
}

#[test]
fn replacing_is_bounded_within_a_minute() {
    let dead = (0..40).map(|slot| pod(slot).ended(10, second(NOW)));
    let mut case = case(12, 40, 400).with_pods(dead);
    let count = |said: Vec<String>| said.iter().filter(|said| said.starts_with('+')).count();
    assert_eq!(case.plan().target.count, 40);
    case.spec.bots.max = 12;
    assert_eq!(count(case.said()), 12);
    case.memory = case.plan().memory;
    assert_eq!(count(case.said()), 0);
}

/// A bot on a node of which Kubernetes says that it is gone, silent for a minute.
fn cut_off(slot: u32) -> ObservedPod {
    pod(slot).starting().with(|pod| {
        (pod.node, pod.node_gone, pod.silent_since) = (Some("n".into()), true, Some(second(NOW - 60)));
    })
}

/// A bot that has had a node for so long and does not start there.
fn not_started(slot: u32, seconds: i64) -> ObservedPod {
    pod(slot).pending().with(|pod| {
        (pod.node, pod.since, pod.failures) = (Some("n".into()), Some(second(NOW - seconds)), 2);
    })
}

#[test]
fn bots_on_a_node_that_is_gone_are_replaced_at_once() {
    let case = case(3, 3, 0).with_pods(ready(1)).with_pods([cut_off(1), cut_off(2)]);
    assert_eq!(
        case.said(),
        [
            "+bot 3 for fleet-bot-1-x Unreachable failures 0",
            "+bot 4 for fleet-bot-2-x Unreachable failures 0",
            "-fleet-bot-1-x Abandoned(Unreachable)",
            "-fleet-bot-2-x Abandoned(Unreachable)",
        ]
    );
}

#[test]
fn bots_that_cannot_be_asked_are_left_alone_for_ever() {
    let silent = |slot| pod(slot).silent().with(|pod| pod.silent_since = Some(second(1)));
    let mut case = case(3, 3, 0).with_pods([silent(0), silent(1), silent(2)]);
    assert_eq!(case.said(), [] as [&str; 0]);
    assert_eq!(case.said_after(600), [] as [&str; 0]);
}

#[test]
fn where_no_other_can_be_made_what_is_gone_is_left_alone() {
    let mut case = case(2, 2, 0).with_pods([cut_off(0), not_started(1, 900)]);
    case.blocked = true;
    assert_eq!(case.said(), [] as [&str; 0]);
}

#[test]
fn giving_up_is_bounded_within_a_minute_like_replacing() {
    let mut case = case(12, 12, 0).with_pods((0..12).map(cut_off));
    case.spec.bots.min = 3;
    case.spec.bots.replicas = Some(3);
    let gone = |case: &Case| case.said().iter().filter(|said| said.contains("Abandoned")).count();
    assert_eq!(gone(&case), 10, "ten a minute, whatever the number");
    case.memory = case.plan().memory;
    assert_eq!(gone(&case), 0);
    case.now = second(NOW + 60);
    assert_eq!(gone(&case), 10);
}

#[test]
fn a_bot_that_does_not_start_gives_way_to_one_that_is_waited_for_longer() {
    let late = case(2, 2, 0).with_pods(ready(1)).with_pods([not_started(1, 361)]);
    assert_eq!(
        late.said(),
        ["+bot 2 for fleet-bot-1-x NotStarted failures 3", "-fleet-bot-1-x Abandoned(NotStarted)"]
    );
    let early = case(2, 2, 0).with_pods(ready(1)).with_pods([not_started(1, 360)]);
    assert_eq!(early.said(), [] as [&str; 0]);
}

#[test]
fn what_does_not_end_takes_no_room_after_its_time() {
    let mut case = case(3, 3, 0).with_pods(ready(3)).with_spec(|spec| {
        spec.rollout.max_surge = 0;
        spec.rollout.max_unavailable = 1;
    });
    case.revisions.bot = "r2".into();
    case.pods[3].terminating = true;
    case.ends_by.insert("uid-2".into(), second(NOW - 30));
    assert_eq!(case.said(), [] as [&str; 0], "it still drains, and counts");
    case.ends_by.insert("uid-2".into(), second(NOW - 31));
    assert_eq!(case.said(), ["+bot 3 exchange"]);
}

#[test]
fn the_ended_pod_of_a_slot_that_has_another_is_cleaned_up() {
    let ended = pod(0).ended(10, second(1)).with(|pod| {
        pod.uid = "old".into();
        pod.name = "fleet-bot-0-old".into();
    });
    let case = case(1, 1, 0).with_pods([pod(0), ended]);
    assert_eq!(case.said(), ["-fleet-bot-0-old Ended"]);
}

#[test]
fn shares_are_dealt_anew_when_the_number_changes() {
    let mut case = case(1, 2, 11).with_pods([pod(0)]);
    case.now = second(NOW);
    let plan = case.plan();
    let new = share_of_new(&case.situation(), &plan);
    assert_eq!((new.connections_per_minute, new.held), (5.0, 10), "for two bots and a watcher");
    let deal = |pod: &str| Action::Deal { pod: pod.to_owned(), share: new };
    assert_eq!(plan.actions[..2], [deal("fleet-watcher-0-x"), deal("fleet-bot-0-x")], "before it is made");
    assert!(matches!(plan.actions[2], Action::Create { .. }));
}

#[test]
fn a_second_watcher_takes_its_part_of_the_budget_from_the_others() {
    let case = case(1, 1, 0).with_pods([pod(0)]).with_spec(|spec| spec.watcher.standby = true);
    let plan = case.plan();
    let new = share_of_new(&case.situation(), &plan);
    assert_eq!((new.connections_per_minute, new.held), (5.0, 10));
    assert_eq!(plan.actions.len(), 3, "{:?}", plan.actions);
    assert!(matches!(plan.actions[2], Action::Create { role: Role::Watcher, .. }), "{:?}", plan.actions);
}

#[test]
fn a_fenced_bot_keeps_its_part_of_the_budget_and_the_others_have_the_rest() {
    let fenced = || pod(1).with(|pod| pod.fenced = true);
    let case = case(2, 2, 0).with_spec(|spec| spec.politeness.held = 20).with_pods([pod(0), fenced()]);
    let plan = case.plan();
    let new = share_of_new(&case.situation(), &plan);
    assert_eq!(
        (new.connections_per_minute, new.held),
        (3.75, 6),
        "of 15 and 20, for three bots and a watcher"
    );
    let dealt: Vec<_> =
        plan.actions.iter().take_while(|action| matches!(action, Action::Deal { .. })).collect();
    assert_eq!(dealt.len(), 3, "all that are there, before another is made: {:?}", plan.actions);
    assert!(dealt.contains(&&Action::Deal { pod: "fleet-bot-1-x".into(), share: new }), "{dealt:?}");
}

#[test]
fn a_fenced_bot_is_dealt_nothing_more() {
    let mut case = case(1, 2, 0).with_pods([pod(0), pod(1).with(|pod| pod.fenced = true), pod(2)]);
    // The third has gone: there is more for each.
    case.pods.pop();
    let dealt: Vec<_> =
        case.plan().actions.into_iter().filter(|it| matches!(it, Action::Deal { .. })).collect();
    let to = |pod: &str| dealt.iter().any(|it| matches!(it, Action::Deal { pod: name, .. } if name == pod));
    assert!(to("fleet-bot-0-x") && to("fleet-watcher-0-x") && !to("fleet-bot-1-x"), "{dealt:?}");
}

#[test]
fn a_bot_that_does_not_say_what_it_holds_goes_last() {
    let case = case(1, 3, 0)
        .with_pods([pod(0).silent(), pod(1).holding(9, second(NOW))])
        .with_spec(|spec| spec.bots.replicas = Some(1));
    assert_eq!(case.said(), ["-fleet-bot-1-x NotNeeded"]);
}

#[test]
fn deleting_never_names_another_pod() {
    let case = case(1, 3, 0).with_pods(ready(3)).with_spec(|spec| spec.bots.replicas = Some(2));
    let plan = case.plan();
    assert!(matches!(
        &plan.actions[0],
        Action::Delete { uid, why: WhyDelete::NotNeeded, .. } if uid == "uid-2"
    ));
}
