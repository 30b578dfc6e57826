//! Events: what `kubectl describe` tells of a fleet.

use std::fmt::Write as _;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource as _,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use scrapefleet_api::{ScrapeFleet, ScrapeFleetStatus};
use scrapefleet_policy::within;

use super::{CALL, words};
use crate::{
    abandonments::ThrownAway,
    names,
    plan::{Action, Blame, Role, WhyCreate, WhyDelete},
};

/// The longest note that the API server takes, in bytes.
const LONGEST: usize = 1000;

/// Tells what happened to fleets.
#[derive(Clone)]
pub struct Announcer {
    client: Client,
    reporter: Reporter,
    /// For what is told again and again: it makes one event with a count of all that have the same reason, and keeps the
    /// note of the first.
    recurring: Recorder,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct News {
    warning: bool,
    reason: String,
    action: &'static str,
    note: String,
    /// The pod that it is about, by name and uid. Then it has a note that no other has.
    pod: Option<(String, String)>,
}

impl Announcer {
    /// Speaks as the operator in `pod`.
    #[must_use]
    pub fn new(client: Client, pod: &str) -> Self {
        let reporter = Reporter { controller: names::MANAGER.to_owned(), instance: Some(pod.to_owned()) };
        let recurring = Recorder::new(client.clone(), reporter.clone());
        Self { client, reporter, recurring }
    }

    /// Tells what was done, and which conditions turned bad. Nothing depends on it: what cannot be told is logged.
    pub async fn announce(
        &self,
        fleet: &ScrapeFleet,
        done: &[Action],
        before: &ScrapeFleetStatus,
        after: &ScrapeFleetStatus,
    ) {
        for news in done_news(done).into_iter().chain(turned(before, after)) {
            self.tell(fleet, news).await;
        }
    }

    /// Tells of browsers that bots threw away and went on.
    pub async fn announce_thrown_away(&self, fleet: &ScrapeFleet, all: Vec<ThrownAway>) {
        for thrown in all {
            self.tell(fleet, thrown_away(thrown)).await;
        }
    }

    /// Tells of queues that a fleet leaves behind. The log has it too: in a namespace that is being deleted no event can be made.
    pub async fn announce_left(&self, fleet: &ScrapeFleet, left: &str) {
        let (namespace, name) = (&fleet.metadata.namespace, &fleet.metadata.name);
        tracing::warn!(?namespace, fleet = ?name, left, "a fleet leaves queues behind");
        let reason = "QueuesLeft".to_owned();
        let news = News { warning: true, reason, action: "RemoveQueues", note: left.to_owned(), pod: None };
        self.tell(fleet, news).await;
    }

    async fn tell(&self, fleet: &ScrapeFleet, news: News) {
        let about = fleet.object_ref(&());
        let recorder = match &news.pod {
            Some(_) => &Recorder::new(self.client.clone(), self.reporter.clone()),
            None => &self.recurring,
        };
        let event = Event {
            type_: if news.warning { EventType::Warning } else { EventType::Normal },
            reason: news.reason,
            note: Some(cut(&news.note)),
            action: news.action.to_owned(),
            secondary: news.pod.map(|(name, uid)| pod_reference(name, uid, about.namespace.clone())),
        };
        match within(CALL, "publishing an event", recorder.publish(&event, &about)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(why = words(&error), "an event could not be published"),
            Err(expired) => tracing::warn!(%expired, "an event could not be published"),
        }
    }
}

fn pod_reference(name: String, uid: String, namespace: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(name),
        uid: Some(uid),
        namespace,
        ..ObjectReference::default()
    }
}

fn cut(note: &str) -> String {
    let end = (0..=note.len().min(LONGEST)).rev().find(|at| note.is_char_boundary(*at)).unwrap_or(0);
    note[..end].to_owned()
}

/// One event for each pod that failed and was replaced, and one for all that were made or drained for another reason.
fn done_news(done: &[Action]) -> Vec<News> {
    let mut news: Vec<News> = done.iter().filter_map(replaced).collect();
    let count = |of: &dyn Fn(&Action) -> bool| done.iter().filter(|action| of(action)).count();
    let made = count(&|action| {
        matches!(action, Action::Create { role: Role::Bot, why: WhyCreate::Needed | WhyCreate::Exchange, .. })
    });
    let drained = count(&|action| {
        matches!(
            action,
            Action::Delete { role: Role::Bot, why: WhyDelete::NotNeeded | WhyDelete::Outdated, .. }
        )
    });
    if made + drained > 0 {
        let note = format!("bots made: {made}, drained: {drained}");
        news.push(News { warning: false, reason: "Scaled".into(), action: "Scale", note, pod: None });
    }
    news
}

fn replaced(action: &Action) -> Option<News> {
    let Action::Create { role, slot, why: WhyCreate::Replaces { pod, uid, exit }, .. } = action else {
        return given_up(action);
    };
    let said = exit.message.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
    let note = format!("{} {slot} ({pod}) is replaced: {}{said}", role.word(), exit.why.sentence());
    let warning = exit.why.blame() != Blame::Nobody;
    let pod = Some((pod.clone(), uid.clone()));
    Some(News { warning, reason: exit.why.word().into(), action: "Replace", note, pod })
}

/// A browser that a bot threw away and built anew: the bot's pod stays.
fn thrown_away(abandoned: ThrownAway) -> News {
    let ThrownAway { pod, uid, slot, browsers, in_all, why, untold } = abandoned;
    let what = if browsers == 1 { "its browser".to_owned() } else { format!("{browsers} browsers") };
    let mut note = format!("bot {slot} ({pod}) threw away {what}, {in_all} since it started");
    if untold > 0 {
        // cannot fail: writing to a string
        let _ = write!(note, " (and {untold} of this fleet before, which were not told one by one)");
    }
    let _ = write!(note, ": {}", why.as_deref().unwrap_or("it did not say why"));
    News {
        warning: true,
        reason: "BrowserAbandoned".into(),
        action: "RebuildBrowser",
        note,
        pod: Some((pod, uid)),
    }
}

/// A pod is given up although nobody has seen it end.
fn given_up(action: &Action) -> Option<News> {
    let Action::Create { role, slot, why: WhyCreate::Abandons { pod, uid, why, said }, .. } = action else {
        return None;
    };
    let said = said.as_deref().map(|said| format!("; it last said: {said}")).unwrap_or_default();
    let note = format!("{pod} is given up and replaced by {} {slot}: {}{said}", role.word(), why.sentence());
    let pod = Some((pod.clone(), uid.clone()));
    Some(News { warning: true, reason: why.word().into(), action: "Replace", note, pod })
}

/// Conditions that were not bad before and are now.
fn turned(before: &ScrapeFleetStatus, after: &ScrapeFleetStatus) -> Vec<News> {
    let bad = |type_: &str| match type_ {
        "QueueReachable" | "StoreReachable" | "SiteAvailable" => Some("False"),
        "ScalingHeld" => Some("True"),
        _ => None,
    };
    let turned = after.conditions.iter().filter(|condition| {
        let was = before.condition(&condition.type_).map(|before| before.status.as_str());
        bad(&condition.type_).is_some_and(|bad| condition.status == bad && was != Some(bad))
    });
    turned
        .map(|condition| News {
            warning: true,
            reason: condition.reason.clone(),
            action: "Observe",
            note: format!("{} is {}: {}", condition.type_, condition.status, condition.message),
            pod: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Abandoned, Exit, ExitReason, fixture::second};

    fn create(why: WhyCreate) -> Action {
        Action::Create { role: Role::Bot, slot: 2, failures: 0, probes_site: false, why }
    }

    #[test]
    fn a_replacement_says_why() {
        let exit = Exit {
            why: ExitReason::BrowserNotRebuilt,
            at: second(1),
            started: None,
            message: Some("five browsers in five minutes".into()),
            stored: Some(7),
        };
        let news = done_news(&[create(WhyCreate::Replaces { pod: "p".into(), uid: "u".into(), exit })]);
        assert_eq!(news.len(), 1);
        assert_eq!((news[0].warning, news[0].reason.as_str()), (true, "BrowserNotRebuilt"));
        assert!(news[0].note.contains("bot 2 (p)") && news[0].note.contains("five browsers"), "{news:?}");
        assert_eq!(news[0].pod, Some(("p".into(), "u".into())));
    }

    #[test]
    fn a_browser_thrown_away_is_told_with_why() {
        let abandoned = |browsers, why: Option<&str>, untold| ThrownAway {
            pod: "p".into(),
            uid: "u".into(),
            slot: 2,
            browsers,
            in_all: 3,
            why: why.map(str::to_owned),
            untold,
        };
        let news = thrown_away(abandoned(1, Some("Probe failed (Timeout)"), 0));
        assert!(news.warning);
        assert_eq!(news.note, "bot 2 (p) threw away its browser, 3 since it started: Probe failed (Timeout)");
        let news = thrown_away(abandoned(2, None, 7));
        assert!(news.note.contains("2 browsers") && news.note.contains("and 7 of this fleet"), "{news:?}");
    }

    #[test]
    fn giving_up_says_why() {
        let given_up = |why, said: Option<&str>| {
            let said = said.map(str::to_owned);
            done_news(&[create(WhyCreate::Abandons { pod: "p".into(), uid: "u".into(), why, said })])
        };
        let news = given_up(Abandoned::Unreachable, None);
        assert_eq!((news.len(), news[0].warning, news[0].reason.as_str()), (1, true, "Unreachable"));
        assert_eq!(news[0].note, "p is given up and replaced by bot 2: its node is gone or cut off");
        let news = given_up(Abandoned::Hung, Some("Working, 3 items held"));
        assert!(news[0].note.ends_with("; it last said: Working, 3 items held"), "{news:?}");
    }

    #[test]
    fn many_new_bots_are_one_event() {
        let news = done_news(&[create(WhyCreate::Needed), create(WhyCreate::Needed)]);
        assert_eq!(news.len(), 1);
        assert_eq!(news[0].note, "bots made: 2, drained: 0");
        assert_eq!(done_news(&[Action::AddFinalizer]), []);
    }

    #[test]
    fn a_note_is_cut_at_a_character() {
        assert_eq!(cut(&"é".repeat(800)).len(), LONGEST);
        assert_eq!(cut("short"), "short");
    }
}
