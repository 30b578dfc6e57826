//! What a page says that it waits for, between two calls of one order.

use scrapefleet_policy::Instant;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use super::plan::ListPlan;
use crate::{
    Waiting,
    fault::{LONGEST_TEXT, printable},
    session::Under,
};

/// Tells what the page waits for now.
#[derive(Debug)]
pub(super) struct Waits(watch::Sender<Option<Waiting>>);

/// What a page says. It names what it waits for by a word: what that stands for is not the page's to say.
#[derive(Debug, Deserialize)]
struct Said {
    #[serde(rename = "for")]
    awaited: Awaited,
    url: String,
}

/// What an order about the list waits for.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Awaited {
    /// An entry, or the sign of an empty list.
    Item,
    /// What is clicked to refresh the list.
    Click,
    /// The list's answer to the click.
    Answer,
}

impl Awaited {
    fn field(self) -> &'static str {
        match self {
            Self::Item => "list.item",
            Self::Click => "list.refresh.click",
            Self::Answer => "list.refresh.answered",
        }
    }

    fn selector(self, list: &ListPlan) -> &str {
        match self {
            Self::Item => &list.item,
            Self::Click | Self::Answer => list.click.as_deref().unwrap_or_default(),
        }
    }
}

impl Waits {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Waiting>> {
        self.0.subscribe()
    }

    /// The page has not ended what it was told, and says this of it. Nothing, or what is not understood: it waits for
    /// nothing that is worth telling.
    pub(super) fn tell(&self, under: Under, list: &ListPlan, said: &Value) {
        let said = Said::deserialize(said).ok();
        self.0.send_if_modified(|now| {
            let next = said.map(|said| waiting(under, list, &said, now.as_ref()));
            let changed = *now != next;
            *now = next;
            changed
        });
    }

    /// It waits no more.
    pub(super) fn over(&self) {
        self.0.send_if_modified(|now| now.take().is_some());
    }
}

/// The first thing that is waited for has been since the step began; what comes after it, since it was first told.
fn waiting(under: Under, list: &ListPlan, said: &Said, before: Option<&Waiting>) -> Waiting {
    let waiting = Waiting {
        step: under.step,
        field: said.awaited.field(),
        selector: printable(said.awaited.selector(list), LONGEST_TEXT),
        url: printable(&said.url, LONGEST_TEXT),
        since: under.began,
        limit: under.deadline - under.began,
    };
    let since = match before {
        None => under.began,
        Some(before) if before.is_for_the_same_as(&waiting) => before.since,
        Some(_) => Instant::now(),
    };
    Waiting { since, ..waiting }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use scrapefleet_api::recipe::Recipe;
    use serde_json::json;

    use super::*;
    use crate::{Step, recipe::plan::Plan};

    const SECOND: Duration = Duration::from_secs(1);

    fn plan() -> Plan {
        let recipe: Recipe = serde_json::from_value(json!({
            "mode": "tab",
            "list": { "url": "/", "item": "a.row", "idPattern": "(?<id>.+)", "refresh": { "click": "button\u{7}" } },
            "item": { "url": "/{id}", "doneWhen": { "selector": "b" }, "take": [{ "html": "b" }] },
        }))
        .unwrap();
        Plan::new(&recipe)
    }

    fn said(word: &str) -> Value {
        json!({ "for": word, "url": "http://site.test/list" })
    }

    #[tokio::test(start_paused = true)]
    async fn each_thing_is_named_with_its_field_and_since_when() {
        let (plan, waits) = (plan(), Waits::new());
        let seen = waits.subscribe();
        let under = Under::limit(Step::Refresh, 15 * SECOND);
        let began = Instant::now();
        for (word, field, selector, since) in [
            ("click", "list.refresh.click", "button\\u{7}", 0),
            ("click", "list.refresh.click", "button\\u{7}", 0),
            ("answer", "list.refresh.answered", "button\\u{7}", 3),
            ("item", "list.item", "a.row", 4),
            ("item", "list.item", "a.row", 4),
        ] {
            tokio::time::advance(SECOND).await;
            waits.tell(under, &plan.list, &said(word));
            let waiting = seen.borrow().clone().unwrap();
            assert_eq!((waiting.step, waiting.limit), (Step::Refresh, 15 * SECOND));
            assert_eq!((waiting.field, waiting.selector.as_str()), (field, selector));
            assert_eq!(
                (waiting.since - began, waiting.url.as_str()),
                (since * SECOND, "http://site.test/list")
            );
        }
        waits.over();
        assert_eq!(*seen.borrow(), None);
    }

    #[test]
    fn nothing_is_told_of_what_is_not_understood_and_nobody_is_woken_twice() {
        let (plan, waits) = (plan(), Waits::new());
        let mut seen = waits.subscribe();
        let under = Under::limit(Step::Refresh, SECOND);
        for nothing in [json!(null), json!({ "for": "godot", "url": "" }), json!({ "for": "item" }), json!(7)]
        {
            waits.tell(under, &plan.list, &nothing);
            assert!(!seen.has_changed().unwrap(), "{nothing}");
        }
        waits.tell(under, &plan.list, &said("item"));
        assert!(seen.borrow_and_update().is_some());
        waits.tell(under, &plan.list, &said("item"));
        assert!(!seen.has_changed().unwrap());
        waits.tell(under, &plan.list, &json!(null));
        assert!(seen.borrow_and_update().is_none());
        waits.over();
        assert!(!seen.has_changed().unwrap());
    }
}
