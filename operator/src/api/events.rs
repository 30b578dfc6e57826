//! Events: what `kubectl describe` tells of a fleet.

use kube::{
    Client, Resource as _,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use scrapefleet_api::{ScrapeFleet, ScrapeFleetStatus};
use scrapefleet_policy::within;

use super::{CALL, words};
use crate::{
    names,
    plan::{Action, Blame, Role, WhyCreate, WhyDelete},
};

/// The longest note that the API server takes, in bytes.
const LONGEST: usize = 1000;

/// Tells what happened to fleets.
#[derive(Clone)]
pub struct Announcer(Recorder);

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct News {
    warning: bool,
    reason: String,
    action: &'static str,
    note: String,
}

impl Announcer {
    /// Speaks as the operator in `pod`.
    #[must_use]
    pub fn new(client: Client, pod: &str) -> Self {
        let reporter = Reporter { controller: names::MANAGER.to_owned(), instance: Some(pod.to_owned()) };
        Self(Recorder::new(client, reporter))
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
            let note: String = cut(&news.note);
            let event = Event {
                type_: if news.warning { EventType::Warning } else { EventType::Normal },
                reason: news.reason,
                note: Some(note),
                action: news.action.to_owned(),
                secondary: None,
            };
            let told =
                within(CALL, "publishing an event", self.0.publish(&event, &fleet.object_ref(&()))).await;
            match told {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(why = words(&error), "an event could not be published"),
                Err(expired) => tracing::warn!(%expired, "an event could not be published"),
            }
        }
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
        news.push(News { warning: false, reason: "Scaled".into(), action: "Scale", note });
    }
    news
}

fn replaced(action: &Action) -> Option<News> {
    let Action::Create { role, slot, why: WhyCreate::Replaces { pod, exit, .. }, .. } = action else {
        return given_up(action);
    };
    let said = exit.message.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
    let note = format!("{} {slot} ({pod}) is replaced: {}{said}", role.word(), exit.why.sentence());
    let warning = exit.why.blame() != Blame::Nobody;
    Some(News { warning, reason: exit.why.word().into(), action: "Replace", note })
}

/// A pod is given up although nobody has seen it end.
fn given_up(action: &Action) -> Option<News> {
    let Action::Create { role, slot, why: WhyCreate::Abandons { pod, why, .. }, .. } = action else {
        return None;
    };
    let note = format!("{pod} is given up and replaced by {} {slot}: {}", role.word(), why.sentence());
    Some(News { warning: true, reason: why.word().into(), action: "Replace", note })
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
        };
        let news = done_news(&[create(WhyCreate::Replaces { pod: "p".into(), uid: "u".into(), exit })]);
        assert_eq!(news.len(), 1);
        assert_eq!((news[0].warning, news[0].reason.as_str()), (true, "BrowserNotRebuilt"));
        assert!(news[0].note.contains("bot 2 (p)") && news[0].note.contains("five browsers"), "{news:?}");
    }

    #[test]
    fn giving_up_says_why() {
        let why = Abandoned::Unreachable;
        let news = done_news(&[create(WhyCreate::Abandons { pod: "p".into(), uid: "u".into(), why })]);
        assert_eq!((news.len(), news[0].warning, news[0].reason.as_str()), (1, true, "Unreachable"));
        assert_eq!(news[0].note, "p is given up and replaced by bot 2: its node is gone or cut off");
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
