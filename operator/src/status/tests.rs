//! What a fleet's status says in which situation.

use std::collections::BTreeMap;

use scrapefleet_api::{site::SiteSpec, status::BotCondition};

use super::*;
use crate::{
    Observed,
    observe::Supply,
    plan::{
        Awaited, Depth, ExitReason, Fleet, Hindrance, Memory, ObservedPod, Obstacle, Report, ReportedState,
        Revisions, Stage,
        fixture::{fleet, pod, second},
        plan,
    },
};

const NOW: i64 = 1000;

/// A fleet of one to five bots, all well, that tests spoil.
struct Case {
    fleet: ScrapeFleet,
    pods: Vec<ObservedPod>,
    state: Fleet,
    outside: Outside,
    problems: Vec<Problem>,
    refused: Option<&'static str>,
    broken: bool,
    previous: ScrapeFleetStatus,
    ends_by: BTreeMap<String, jiff::Timestamp>,
}

fn case() -> Case {
    let mut fleet = fleet(1, 5);
    fleet.spec.watcher.standby = false;
    fleet.metadata.generation = Some(4);
    let depth = Depth { ready: 3, held: 4, delayed: 0, dead: 2 };
    Case {
        fleet,
        pods: vec![watcher(ReportedState::Watching, None), pod(0).holding(4, second(NOW))],
        state: Fleet { has_finalizer: true, ..Fleet::default() },
        outside: Outside {
            depth: Observed::Read { value: depth, at: second(NOW) },
            broker_answers: Some(true),
            queue_secret: Supply::NotNamed,
            last_login: None,
            store_secret: Supply::NotNamed,
        },
        problems: Vec::new(),
        refused: None,
        broken: false,
        previous: ScrapeFleetStatus::default(),
        ends_by: BTreeMap::new(),
    }
}

fn watcher(state: ReportedState, why: Option<&str>) -> ObservedPod {
    let value = Report { state, last_reason: why.map(str::to_owned), active: true, ..Report::default() };
    pod(0).watcher().with(|pod| pod.report = Observed::Read { value, at: second(NOW) })
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn status(&self) -> ScrapeFleetStatus {
        let revisions = Revisions { bot: "r1".into(), watcher: "w1".into() };
        let missing = |supply: &Supply| supply.missing().is_some();
        let situation = Situation {
            spec: &self.fleet.spec,
            fleet: Fleet { invalid: !self.problems.is_empty(), ..self.state },
            revisions: &revisions,
            blocked: missing(&self.outside.queue_secret) || missing(&self.outside.store_secret),
            pods: &self.pods,
            ends_by: &self.ends_by,
            depth: &self.outside.depth,
            now: second(NOW),
        };
        let view = View {
            fleet: &self.fleet,
            situation: &situation,
            plan: &plan(&situation, &Memory::default()),
            outside: Some(&self.outside),
            problems: &self.problems,
            refused: self.refused,
            tally: &Tally::default(),
            list_is_broken: self.broken,
        };
        status(&view, &self.previous)
    }

    /// Status and reason of a condition: `False NoWatcher`.
    fn says(&self, type_: &str) -> String {
        let status = self.status();
        let condition = status.condition(type_).unwrap();
        format!("{} {}", condition.status, condition.reason)
    }

    fn message(&self) -> String {
        self.status().message.unwrap()
    }
}

#[test]
fn a_fleet_that_is_well_says_so_in_every_condition() {
    let status = case().status();
    let said: Vec<_> =
        status.conditions.iter().map(|c| format!("{} {} {}", c.type_, c.status, c.reason)).collect();
    assert_eq!(
        said,
        [
            "Ready True AsWanted",
            "Progressing False Settled",
            "Degraded False AsWanted",
            "QueueReachable True Reachable",
            "StoreReachable True Reachable",
            "SiteAvailable True Available",
            "ScalingHeld False FollowsQueue",
        ]
    );
    assert_eq!(status.phase, Some(Phase::Running));
    assert_eq!((status.size.as_deref(), status.replicas, status.ready), (Some("1/1"), Some(1), Some(1)));
    assert_eq!(status.selector.as_deref(), Some("scrapefleet.io/fleet=fleet,scrapefleet.io/role=bot"));
    let items = status.items.unwrap();
    assert_eq!((items.ready, items.held, items.dead), (3, 4, 2));
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(4)));
    assert_eq!(CONDITIONS.map(|type_| status.condition(type_).is_some()), [true; 7]);
}

#[test]
fn the_same_is_said_of_the_same_and_times_stay() {
    let first = case().status();
    let again = case().with(|case| case.previous = first.clone()).status();
    assert_eq!(again, first);
    let mut before = first.clone();
    for condition in &mut before.conditions {
        condition.last_transition_time = Time(second(7));
    }
    let paused = case().with(|case| {
        case.previous = before.clone();
        case.state.paused = true;
    });
    let status = paused.status();
    assert_eq!(status.condition("Ready").unwrap().last_transition_time, Time(second(7)));
    assert_eq!(status.condition("ScalingHeld").unwrap().last_transition_time, Time(second(NOW)));
}

#[test]
fn a_status_survives_the_way_to_the_api_server_and_back() {
    let status = case().with(|case| case.pods[1].since = Some(second(NOW))).status();
    let back: ScrapeFleetStatus = serde_json::from_str(&serde_json::to_string(&status).unwrap()).unwrap();
    assert_eq!(back, status);
}

#[test]
fn what_is_wrong_with_the_manifest_is_said() {
    let case =
        case().with(|case| case.problems = vec![Problem::new("spec.store.key", "`x`", "a key with `{id}`")]);
    assert_eq!(case.says("Ready"), "False InvalidSpec");
    assert_eq!(case.status().phase, Some(Phase::Failed));
    assert!(
        case.message().contains("spec.store.key: found `x`, allowed: a key with `{id}`"),
        "{}",
        case.message()
    );
    assert!(case.message().ends_with("bots go on with what they were made of"), "{}", case.message());
}

#[test]
fn all_that_a_new_fleet_needs_is_said_at_once() {
    let problem = |path: &str| Problem::new(path, "`x`", "`y`");
    let fields = ["spec.queue", "spec.store", "spec.site", "spec.lanes"];
    let case = case().with(|case| {
        case.pods.clear();
        case.problems = fields.map(problem).into();
    });
    let message = case.message();
    assert!(fields[..3].iter().all(|field| message.contains(field)), "{message}");
    assert!(message.ends_with(" (and 1 more); until that is mended no bot is made"), "{message}");
}

#[test]
fn a_bot_that_refuses_the_manifest_is_quoted() {
    let case = case().with(|case| {
        let mut ended = pod(0).ended(15, second(NOW));
        if let Stage::Ended(exit) = &mut ended.stage {
            exit.message = Some("preset `x` is not known".into());
        }
        case.pods[1] = ended;
    });
    assert_eq!(
        (case.says("Ready"), case.status().phase),
        ("False BadConfiguration".into(), Some(Phase::Failed))
    );
    assert!(case.message().contains("preset `x` is not known"), "{}", case.message());
}

#[test]
fn a_missing_secret_is_named() {
    let why = "there is no Secret `login` in namespace `space`";
    let case = case().with(|case| case.outside.queue_secret = Supply::Absent(why.into()));
    assert_eq!(case.says("QueueReachable"), "False SecretMissing");
    assert_eq!(case.says("Ready"), "False SecretMissing");
    assert_eq!(case.says("Degraded"), "True SecretMissing");
    assert_eq!(case.message(), why);
}

#[test]
fn a_queue_that_cannot_be_reached_is_told_by_whoever_notices() {
    let told = "False Unreachable";
    let by_watcher = case().with(|case| {
        case.pods[0] = watcher(ReportedState::QueueUnreachable, Some("connection refused"));
    });
    assert_eq!(by_watcher.says("QueueReachable"), told);
    assert!(
        by_watcher.message().contains("amqp://rabbitmq")
            && by_watcher.message().contains("connection refused")
    );
    let by_exit = case().with(|case| case.pods[1] = pod(0).ended(13, second(NOW)));
    assert_eq!(by_exit.says("QueueReachable"), told);
    let by_depth = case().with(|case| {
        case.pods.clear();
        case.outside.depth = Observed::unread("the broker at mq refuses user \"bob\"");
        case.outside.broker_answers = Some(false);
    });
    assert_eq!(by_depth.says("QueueReachable"), told);
    assert!(by_depth.message().contains("refuses user"), "{}", by_depth.message());
}

#[test]
fn a_queue_that_was_made_otherwise_is_told_with_which_it_is_and_what_to_do() {
    let said = "the queue was made otherwise: the broker at rabbitmq:5672 says: PRECONDITION_FAILED - inequivalent arg \
                'x-delivery-limit' for queue 'scrapefleet.space.fleet:lane.default' in vhost '/': received '20' but \
                current is '3'";
    let case = case().with(|case| {
        let mut ended = pod(0).ended(13, second(NOW));
        if let Stage::Ended(exit) = &mut ended.stage {
            (exit.why, exit.message) = (ExitReason::QueueMismatch, Some(said.into()));
        }
        case.pods[1] = ended;
    });
    assert_eq!(case.says("QueueReachable"), "False QueueMismatch");
    assert_eq!(case.says("Degraded"), "True QueueMismatch");
    let message = case.message();
    for part in
        ["amqp://rabbitmq", "delete it", "use another", "lane.default'", "x-delivery-limit", "current is '3'"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains("cannot be reached"), "{message}");
}

#[test]
fn a_depth_that_cannot_be_read_is_no_reason_to_call_the_queue_unreachable() {
    let case = case().with(|case| {
        case.outside.depth = Observed::unread("no answer from the management API");
        case.outside.broker_answers = Some(false);
    });
    assert_eq!(case.says("QueueReachable"), "True Reachable");
    assert_eq!(case.says("ScalingHeld"), "True DepthUnread");
    assert!(case.message().contains("no answer from the management API"));
    let previous = ItemCounts { ready: 9, ..ItemCounts::default() };
    let known = case.with(|case| case.previous.items = Some(previous));
    assert_eq!(known.status().items.unwrap().ready, 9, "the last that was known");
}

#[test]
fn a_store_that_cannot_be_used_names_its_bucket() {
    let case = case().with(|case| case.pods[1] = pod(0).ended(14, second(NOW)));
    assert_eq!(case.says("StoreReachable"), "False Unreachable");
    assert!(case.message().contains("bucket `logs`"), "{}", case.message());
    assert_eq!(case.status().phase, Some(Phase::Degraded));
}

#[test]
fn a_store_that_takes_nothing_is_told_by_the_bots_that_wait_for_it() {
    let case = case().with(|case| {
        let value = Report {
            state: ReportedState::StoreUnreachable,
            held: 4,
            last_reason: Some("403 Forbidden: AccessDenied".into()),
            ..Report::default()
        };
        let report = Observed::Read { value, at: second(NOW) };
        case.pods[1] = pod(0).with(|pod| (pod.stage, pod.report) = (Stage::Starting, report));
    });
    assert_eq!(case.says("StoreReachable"), "False Unreachable");
    assert_eq!(case.says("Degraded"), "True Unreachable");
    assert!(
        case.message().contains("AccessDenied") && case.message().contains("bucket `logs`"),
        "{}",
        case.message()
    );
    assert_eq!(case.status().bots[0].state, BotCondition::Working, "it holds on");
}

#[test]
fn a_pod_that_does_not_end_is_explained_and_no_longer_waited_for() {
    let leaving = |late: i64| {
        case().with(|case| {
            case.pods.push(pod(1).silent().with(|pod| {
                pod.terminating = true;
                pod.node = Some("n7".into());
            }));
            case.ends_by.insert("uid-1".into(), second(NOW - late));
        })
    };
    assert_eq!(leaving(30).says("Progressing"), "True PodsChange");
    assert_eq!(leaving(30).says("Degraded"), "False AsWanted");
    assert_eq!(leaving(31).says("Progressing"), "False Settled");
    assert_eq!(leaving(31).says("Degraded"), "True PodsDoNotEnd");
    let message = leaving(31).message();
    assert!(message.contains("on node n7") && message.contains("1970-01-01T00:16:09Z"), "{message}");
}

#[test]
fn a_list_that_cannot_be_read_is_told_with_what_the_watcher_says() {
    let broken = case().with(|case| {
        case.pods[0] = watcher(ReportedState::Repairing, Some("selector `.room` matches nothing\n"));
        case.broken = true;
    });
    assert_eq!(broken.says("SiteAvailable"), "False ListUnreadable");
    assert!(broken.message().contains("selector `.room` matches nothing"), "{}", broken.message());
    assert!(!broken.message().contains('\n'));
}

/// A watcher that has waited for this for a while.
fn waiter(state: ReportedState, field: &str) -> ObservedPod {
    watcher(state, None).with(|pod| {
        let awaited = Awaited {
            field: field.to_owned(),
            selector: "a.none".to_owned(),
            url: "http://site.test/list".to_owned(),
            since: Some(second(NOW - 3)),
        };
        let value = Report { state, waiting: Some(awaited), active: true, ..Report::default() };
        pod.report = Observed::Read { value, at: second(NOW) };
    })
}

fn recipe(empty_when: bool) -> SiteSpec {
    let mut site = serde_json::json!({ "url": "http://site.test", "recipe": {
        "mode": "tab",
        "list": { "url": "/list", "item": "a.none", "idPattern": "(?<id>.+)" },
        "item": { "url": "/{id}", "doneWhen": { "selector": "b" }, "take": [{ "html": "b" }] },
    } });
    if empty_when {
        site["recipe"]["list"]["emptyWhen"] = serde_json::json!({ "selector": "p" });
    }
    serde_json::from_value(site).unwrap()
}

#[test]
fn what_the_list_does_not_show_is_told_with_where_the_manifest_says_it_and_what_to_do() {
    for (field, site, told) in [
        (
            "list.item",
            recipe(true),
            ["nothing that `a.none` selects", "`spec.site.recipe.list.item`", "emptyWhen"],
        ),
        (
            "list.item",
            recipe(false),
            ["nothing that `a.none` selects", "`spec.site.recipe.list.item`", "list.url"],
        ),
        (
            "list.refresh.click",
            recipe(false),
            ["nothing to click that `a.none` selects", "`spec.site.recipe.list.refresh.click`", "disabled"],
        ),
        (
            "list.refresh.answered",
            recipe(false),
            [
                "does not answer a click on `a.none`",
                "`spec.site.recipe.list.refresh.answered`",
                "must change",
            ],
        ),
        ("list.other\n", recipe(false), ["does not show `a.none`", "list.other", "Correct the recipe"]),
        (
            "list.item",
            fleet(1, 1).spec.site,
            ["nothing that `a.none` selects", "spec.site.preset", "spec.site.url"],
        ),
    ] {
        let blind = case().with(|case| {
            case.fleet.spec.site = site;
            case.pods[0] = waiter(ReportedState::Starting, field);
        });
        assert_eq!(blind.says("SiteAvailable"), "False ListUnreadable", "{field}");
        let message = blind.status().condition("SiteAvailable").unwrap().message.clone();
        for part in told.into_iter().chain([
            "http://site.test/list",
            "watcher 0 fleet-watcher-0-x waits for it since 1970-01-01T00:16:37Z",
            "only slow",
        ]) {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(message.len() < LONGEST && !message.contains('\n'), "{message}");
        assert!(!message.contains("goes on"), "{message}");
    }
}

#[test]
fn only_watchers_of_the_present_manifest_tell_what_the_list_does_not_show() {
    use ReportedState::{Repairing, Standby, Starting, Watching};
    let says = |watchers: Vec<ObservedPod>| {
        let case = case().with(|case| {
            case.pods.remove(0);
            case.pods.extend(watchers);
        });
        let status = case.status();
        let site = status.condition("SiteAvailable").unwrap();
        (site.reason.clone(), site.message.contains("the manifest before goes on"))
    };
    let waits = |state| waiter(state, "list.item");
    let other = |pod: ObservedPod| pod.with(|pod| pod.revision = "w0".into());
    let unreadable = |goes_on| ("ListUnreadable".to_owned(), goes_on);
    let available = ("Available".to_owned(), false);
    // One that waits, in whatever state: it may have read the list before, or be repairing it.
    for state in [Starting, Watching, Standby, Repairing] {
        assert_eq!(says(vec![waits(state)]), unreadable(false), "{state:?}");
    }
    assert_eq!(says(vec![waits(Starting), waits(Starting)]), unreadable(false));
    // Another reads the list: it is there.
    assert_eq!(says(vec![waits(Starting), watcher(Standby, None)]), available);
    // After a change of the manifest the one before speaks of that.
    assert_eq!(says(vec![other(waits(Starting))]), available);
    assert_eq!(says(vec![other(watcher(Watching, None)), waits(Starting)]), unreadable(true));
    assert_eq!(says(vec![other(waits(Repairing)), watcher(Starting, None)]), available);
    // What was said long ago, or by one that leaves, counts no more.
    assert_eq!(says(vec![waits(Starting).silent()]), available);
    assert_eq!(says(vec![waits(Starting).with(|pod| pod.terminating = true)]), available);
}

#[test]
fn a_list_that_is_waited_for_changes_nothing_but_the_condition() {
    let (well, blind) =
        (case(), case().with(|case| case.pods[0] = waiter(ReportedState::Watching, "list.item")));
    let others = |status: &ScrapeFleetStatus| {
        let mut others = status.clone();
        others.conditions.retain(|condition| condition.type_ != "SiteAvailable");
        others.message = None;
        others
    };
    assert_eq!(others(&blind.status()), others(&well.status()));
    assert!(blind.message().contains("a.none"), "{}", blind.message());
}

#[test]
fn a_site_at_fault_holds_the_number_of_bots() {
    let down = case().with(|case| {
        case.pods[1] = pod(0).reporting(ReportedState::SiteUnavailable, 0, second(NOW));
    });
    assert_eq!(down.says("SiteAvailable"), "False SiteUnavailable");
    assert_eq!(down.says("ScalingHeld"), "True SiteUnavailable");
}

#[test]
fn pods_that_keep_failing_are_told_and_one_failure_is_not() {
    let ended = |failures| {
        case().with(|case| case.pods[1] = pod(0).ended(10, second(NOW)).with(|pod| pod.failures = failures))
    };
    assert_eq!(ended(0).says("Degraded"), "False AsWanted");
    assert_eq!(ended(2).says("Degraded"), "True PodsFail");
    assert!(ended(2).message().contains("bot 0 ended 3 times in a row"), "{}", ended(2).message());
}

#[test]
fn pods_that_cannot_start_say_why() {
    let waits = case().with(|case| {
        case.pods[1] = pod(0).pending().with(|pod| {
            let said = "bot: ImagePullBackOff: no such image".into();
            pod.obstacle = Some(Obstacle { kind: Hindrance::Image, said });
        });
    });
    assert_eq!(waits.says("Degraded"), "True PodsCannotStart");
    assert!(waits.message().contains("no such image"), "{}", waits.message());
    let quota = case().with(|case| case.refused = Some("making pod x: exceeded quota (403)"));
    assert_eq!(quota.says("Degraded"), "True Refused");
}

#[test]
fn phases_follow_the_life_of_a_fleet() {
    let phase = |change: fn(&mut Case)| case().with(change).status().phase.unwrap();
    assert_eq!(phase(|case| case.pods.clear()), Phase::Pending);
    assert_eq!(phase(|case| case.pods.push(pod(1).with(|pod| pod.terminating = true))), Phase::Scaling);
    assert_eq!(phase(|case| case.fleet.spec.suspend = true), Phase::Draining);
    assert_eq!(
        phase(|case| {
            case.fleet.spec.suspend = true;
            case.pods.clear();
        }),
        Phase::Suspended
    );
    assert_eq!(phase(|case| case.state.paused = true), Phase::Paused);
    assert_eq!(phase(|case| case.state.deleting = true), Phase::Draining);
}

#[test]
fn bots_that_are_not_well_come_first_and_the_list_is_bounded() {
    let many = case().with(|case| {
        case.pods.extend((1..300).map(|slot| pod(slot).holding(1, second(NOW))));
        case.pods.push(pod(300).ended(10, second(NOW)));
        case.pods.push(pod(301).silent());
    });
    let bots = many.status().bots;
    assert_eq!(bots.len(), 100);
    let first: Vec<_> = bots.iter().take(3).map(|bot| (bot.slot, bot.state)).collect();
    assert_eq!(first, [(300, BotCondition::Ended), (301, BotCondition::Silent), (0, BotCondition::Working)]);
    assert_eq!(bots[2].held, Some(4));
}

#[test]
fn the_message_is_the_cause_and_not_the_consequence() {
    let case = case().with(|case| {
        case.pods = vec![pod(0).watcher().ended(13, second(NOW)), pod(0).ended(13, second(NOW))];
    });
    assert_eq!(case.says("Ready"), "False NoWatcher");
    assert!(case.message().starts_with("the queue at amqp://rabbitmq"), "{}", case.message());
}
