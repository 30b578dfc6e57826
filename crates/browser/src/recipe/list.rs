//! A list that is kept open, as a recipe says.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use scrapefleet_policy::Timeout;
use serde_json::json;
use tokio::sync::watch;

use super::{
    answer,
    factory::Shared,
    runner::{Runner, site_fault},
    settings::Deadlines,
};
use crate::{
    Evidence, Fault, Item, ListPage, OnSlow, Step, StepError, Waiting, Window, fault::printable,
    session::Under,
};

/// The most entries kept that could not be read.
const MOST_UNREADABLE: usize = 5;

/// One Chrome that keeps a list open.
pub(super) struct RecipeList {
    runner: Runner,
    /// Whether the list was loaded after it was last read.
    fresh: bool,
    throttled: f64,
}

impl RecipeList {
    pub(super) async fn start(shared: Arc<Shared>) -> Result<Self, StepError> {
        let runner = Runner::start(shared, "list").await?;
        let mut list = Self { runner, fresh: false, throttled: 0.0 };
        list.load(Step::Load).await?;
        Ok(list)
    }

    async fn load(&mut self, step: Step) -> Result<(), StepError> {
        let shared = Arc::clone(&self.runner.shared);
        let url = shared.addresses.list();
        shared.allow(step, url).await?;
        shared.budget.load(step).await?;
        let under = Under::new(step, shared.settings.deadlines.step);
        self.runner.load_home(under, url).await?;
        self.fresh = true;
        Ok(())
    }

    async fn read(&mut self) -> Result<answer::List, StepError> {
        let shared = Arc::clone(&self.runner.shared);
        let (plan, settings) = (&shared.plan, &shared.settings);
        let Deadlines { step, refresh, .. } = settings.deadlines;
        // A list that was just loaded may still have to fetch its entries.
        let hard = if self.fresh { step.hard } else { refresh };
        let under = Under::new(Step::Refresh, Timeout { hard, ..step });
        let mut order = json!(plan.list);
        order["task"] = json!("list");
        order["unavailable"] = json!(plan.unavailable);
        order["throttled"] = json!(plan.throttled);
        order["most"] = json!(settings.bounds.entries);
        let home = self.runner.home.clone();
        let seen: answer::List = self
            .runner
            .run(under, &home, order)
            .await
            .map_err(|error| error.at(shared.addresses.list().as_str()))?;
        self.fresh = false;
        judge(under, seen, &shared)
    }
}

/// Whether what was seen is a list.
fn judge(under: Under, seen: answer::List, shared: &Shared) -> Result<answer::List, StepError> {
    let item = &shared.settings.recipe.list.item;
    let error = if let Some(proof) = &seen.broken {
        under.error(Fault::Unusable, &format!("the list is broken: {proof}"))
    } else if seen.unanswered {
        let click = shared.plan.list.click.as_deref().unwrap_or_default();
        under.error(Fault::Unusable, "the list did not answer a refresh").selector(click)
    } else if let Some(proof) = &seen.refuses {
        under.error(Fault::SiteRefuses, proof)
    } else if seen.items.is_some() {
        return Ok(seen);
    } else if let Some((fault, why)) = site_fault(seen.status, &seen.url) {
        under.error(fault, &why)
    } else {
        under.error(Fault::NotFound, "no item is there, and `emptyWhen` does not hold").selector(item)
    };
    Err(error.at(&seen.url))
}

/// Reads the entries: each item once, in the order shown.
fn window(shared: &Shared, entries: &[String], throttled: bool) -> Window {
    let (mut items, mut unreadable, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for entry in entries {
        let read = shared.addresses.pattern().read(entry);
        let item = read.and_then(|(id, _)| Some((shared.addresses.item(&id)?, id)));
        if let Some((url, id)) = item {
            if seen.insert(id.clone()) {
                items.push(Item { id, url: url.into() });
            }
        } else if unreadable.len() < MOST_UNREADABLE {
            unreadable.push(printable(entry, 200));
        }
    }
    let limit = shared.settings.recipe.list.window.and_then(|limit| usize::try_from(limit).ok());
    Window { items, limit, unreadable, throttled }
}

#[async_trait]
impl ListPage for RecipeList {
    async fn refresh(&mut self) -> Result<Window, StepError> {
        if self.runner.shared.plan.list.click.is_none() && !self.fresh {
            self.load(Step::Refresh).await?;
        }
        let seen = self.read().await?;
        let throttled = seen.throttled > self.throttled;
        self.throttled = seen.throttled;
        Ok(window(&self.runner.shared, &seen.items.unwrap_or_default(), throttled))
    }

    async fn reload(&mut self) -> Result<(), StepError> {
        self.load(Step::Load).await
    }

    fn waits(&self) -> Option<watch::Receiver<Option<Waiting>>> {
        Some(self.runner.waits.subscribe())
    }

    fn on_slow(&mut self, observer: OnSlow) {
        self.runner.session.on_slow(observer);
    }

    async fn evidence(&mut self) -> Evidence {
        let home = self.runner.home.clone();
        self.runner.evidence(&home).await
    }

    fn process_id(&self) -> Option<u32> {
        self.runner.process_id()
    }

    async fn close(self: Box<Self>) {
        self.runner.close().await;
    }
}
