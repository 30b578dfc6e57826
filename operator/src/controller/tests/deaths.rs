//! The operator is killed at each request that its looks make, before and after the request's effect. Another goes on, and
//! in the end all is as if nobody had died.

use std::collections::{BTreeMap, BTreeSet};

use super::{super::fake::Death, *};

/// Seconds until a fleet is settled.
const SETTLES: usize = 12;
/// Seconds that a story takes, with an operator that takes over in the middle of it.
const STORY: usize = 45;
/// Seconds that a pod takes to end once it is deleted.
const ENDS: usize = 3;

/// What happens to a fleet of one bot and one watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    /// It is new.
    Begins,
    /// Its bot is killed.
    LosesItsBot,
    /// Its bot has a node and does not start there.
    HasABotThatDoesNotStart,
    /// Its pods get another image.
    IsRolled,
    /// It is deleted.
    IsDeleted,
}

impl Story {
    /// How many pods are made, and how many deleted, from the fleet's beginning to the end of the story.
    const fn pods(self) -> (usize, usize) {
        match self {
            Self::Begins => (2, 0),
            Self::LosesItsBot | Self::HasABotThatDoesNotStart => (3, 1),
            Self::IsRolled => (4, 2),
            Self::IsDeleted => (2, 2),
        }
    }

    fn happens_to(self, scene: &Scene) {
        match self {
            Self::Begins => {}
            Self::LosesItsBot => scene.change_bot(|bot| {
                bot["status"] = json!({ "phase": "Failed", "containerStatuses": [{
                    "name": "bot", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": { "terminated": { "exitCode": 137, "finishedAt": "2026-01-01T00:00:09Z" } },
                }] });
            }),
            Self::HasABotThatDoesNotStart => scene.change_bot(|bot| {
                bot["spec"]["nodeName"] = json!("node");
                bot["status"] = json!({ "phase": "Pending", "conditions": [
                    { "type": "PodScheduled", "status": "True", "lastTransitionTime": "2025-12-31T23:00:00Z" },
                ] });
            }),
            Self::IsRolled => scene.server.change("scrapefleets", "a", |fleet| {
                fleet["spec"]["pods"]["image"] = json!("p:2");
                fleet["metadata"]["generation"] = json!(2);
            }),
            Self::IsDeleted => scene.server.change("scrapefleets", "a", |fleet| {
                fleet["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:10Z");
            }),
        }
    }
}

/// What has come of a story.
#[derive(Debug, PartialEq)]
struct End {
    /// Pods that were made, one that was made twice twice.
    made: Vec<String>,
    /// Pods that were deleted, in the same way.
    deleted: Vec<String>,
    /// Pods that are there.
    there: Vec<String>,
    finalizers: Value,
    /// Types, statuses and reasons of the conditions; of a fleet that is gone nobody reads them.
    conditions: Vec<[Value; 3]>,
}

impl Scene {
    fn change_bot(&self, change: impl FnOnce(&mut Value)) {
        let bot = self.server.names("pods").into_iter().find(|name| name.starts_with("a-bot")).unwrap();
        self.server.change("pods", &bot, change);
    }

    /// Nodes do their part: what is new gets ready, what is deleted ends a little later.
    fn nodes_go_on(&self, ending: &mut BTreeMap<String, usize>) {
        for name in self.server.names("pods") {
            let pod = self.server.get("pods", &name).unwrap();
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                let seconds = ending.entry(name.clone()).or_default();
                *seconds += 1;
                if *seconds > ENDS {
                    self.server.remove("pods", &name);
                }
            } else if pod["status"]["phase"] == "Pending" && pod["spec"]["nodeName"].is_null() {
                self.server.change("pods", &name, becomes_ready);
            }
        }
    }

    /// A second passes, in which the operator looks. When it is killed another takes over; whether it was.
    async fn second(&mut self, ending: &mut BTreeMap<String, usize>) -> bool {
        self.nodes_go_on(ending);
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.clock.advance(Duration::from_secs(1));
        for fleet in self.context.caches.fleets.state() {
            let killed = tokio::select! {
                biased;
                () = self.server.died() => true,
                _ = look(fleet, self.context.clone()) => false,
            };
            if killed {
                self.take_over();
                return true;
            }
        }
        false
    }

    /// No slot has two pods that are to stay.
    fn check_slots(&self) {
        let mut taken = BTreeSet::new();
        for name in self.server.names("pods") {
            let pod = self.server.get("pods", &name).unwrap();
            let labels = &pod["metadata"]["labels"];
            let stays = pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] != "Failed";
            let slot = [&labels[names::ROLE], &labels[names::SLOT]].map(ToString::to_string);
            assert!(!stays || taken.insert(slot), "{name} is the second in its slot");
        }
    }

    fn end(&self) -> End {
        let writes = self.server.writes();
        let of = |kind: &str| {
            let mut names: Vec<_> = writes.iter().filter_map(|write| write.strip_prefix(kind)).collect();
            names.sort_unstable();
            names.into_iter().map(str::to_owned).collect()
        };
        let fleet = self.server.get("scrapefleets", "a").unwrap();
        let finalizers = fleet["metadata"]["finalizers"].clone();
        let is_gone = finalizers.as_array().is_some_and(Vec::is_empty);
        let conditions = fleet["status"]["conditions"].as_array().filter(|_| !is_gone);
        let short = |condition: &Value| ["type", "status", "reason"].map(|field| condition[field].clone());
        End {
            made: of("create "),
            deleted: of("delete "),
            there: self.server.names("pods"),
            finalizers,
            conditions: conditions.into_iter().flatten().map(short).collect(),
        }
    }
}

/// Lives through a story in which the operator is killed as told; whether it was, and what has come of it.
async fn lived(story: Story, death: Option<(usize, Death)>) -> (bool, End) {
    let mut fleet = small("a");
    fleet["spec"]["queue"]["rabbitmq"]["onDelete"] = json!(OnDelete::Delete);
    let (mut scene, mut ending) = (Scene::with(vec![fleet]).await, BTreeMap::new());
    // Nothing else fails here.
    scene.removals.1.store(1, Ordering::SeqCst);
    if story != Story::Begins {
        for _ in 0..SETTLES {
            scene.second(&mut ending).await;
        }
    }
    story.happens_to(&scene);
    if let Some((after, how)) = death {
        scene.server.die_at(after, how);
    }
    let mut killed = false;
    for _ in 0..STORY {
        killed |= scene.second(&mut ending).await;
        scene.check_slots();
    }
    (killed, scene.end())
}

/// The same with each death in turn.
async fn lived_with_every_death(story: Story) {
    let (_, undisturbed) = lived(story, None).await;
    assert_eq!((undisturbed.made.len(), undisturbed.deleted.len()), story.pods(), "{undisturbed:?}");
    for how in [Death::BeforeItsEffect, Death::AfterItsEffect] {
        let mut requests = 0;
        loop {
            let (killed, end) = lived(story, Some((requests, how))).await;
            assert_eq!(end, undisturbed, "{story:?}, killed at request {requests}, {how:?}");
            if !killed {
                break;
            }
            requests += 1;
        }
        // A list, a pod that is made or deleted, the status.
        assert!(requests >= 3, "{story:?}: only {requests} requests");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_with_a_new_fleet_makes_each_pod_once() {
    lived_with_every_death(Story::Begins).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_with_a_dead_bot_replaces_it_once() {
    lived_with_every_death(Story::LosesItsBot).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_with_a_bot_that_is_given_up_makes_up_for_it_once() {
    lived_with_every_death(Story::HasABotThatDoesNotStart).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_with_an_exchange_exchanges_each_pod_once() {
    lived_with_every_death(Story::IsRolled).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_with_a_deletion_brings_it_to_its_end() {
    lived_with_every_death(Story::IsDeleted).await;
}
