//! A fake list page of a [`FakeSite`].

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

use super::{
    life::Mishap,
    site::{FakeSite, What, fake_item},
};
use crate::{Evidence, Fault, Item, ListPage, OnSlow, Step, StepError, Waiting, Window, slow::SlowSteps};

/// What selects an entry of the list, and where the list is.
const ENTRY: (&str, &str) = ("a.fake", "http://fake.test/");

pub(super) struct FakeList {
    site: FakeSite,
    broken: Option<Fault>,
    waits: watch::Sender<Option<Waiting>>,
    slow: SlowSteps,
}

impl FakeList {
    pub(super) fn new(site: FakeSite) -> Self {
        Self { site, broken: None, waits: watch::Sender::new(None), slow: SlowSteps::default() }
    }

    /// Waits until the page shows its entries.
    async fn entries(&self) -> Result<(), StepError> {
        let (takes, limit) = {
            let state = self.site.lock();
            (state.list_takes, state.step_deadline)
        };
        if takes.is_zero() {
            return Ok(());
        }
        let (selector, url) = ENTRY;
        self.waits.send_replace(Some(Waiting {
            step: Step::Refresh,
            field: "list.item",
            selector: selector.to_owned(),
            url: url.to_owned(),
            since: Instant::now(),
            limit,
        }));
        self.site.watch(&self.slow, Step::Refresh, tokio::time::sleep(takes.min(limit))).await;
        self.waits.send_replace(None);
        if takes < limit {
            return Ok(());
        }
        let error = StepError::new(Step::Refresh, Fault::NotFound, "no item is there");
        Err(error.selector(selector).at(url).after(limit))
    }

    async fn step(&mut self, step: Step) -> Result<(), StepError> {
        let began = Instant::now();
        let call = self.site.next_mishap(step, None, None);
        let mishap = self.site.watch(&self.slow, step, call).await;
        let fault = self.broken.or(mishap.map(Mishap::fault));
        if matches!(mishap, Some(Mishap::CrashesPage | Mishap::KillsBrowser)) {
            self.broken = self.broken.or(fault);
        }
        fault.map_or(Ok(()), |fault| {
            Err(StepError::new(step, fault, "scheduled in the fake").after(began.elapsed()))
        })
    }

    fn shown(&self) -> Vec<Item> {
        let state = self.site.lock();
        let now = state.now();
        let listed = state.shown.iter().filter(|id| {
            let (added, life) = &state.items[*id];
            let age = now.saturating_sub(*added);
            let over = [life.ends, life.gone].into_iter().flatten().min();
            age >= life.appears && over.is_none_or(|over| age < over)
        });
        listed.take(state.window.unwrap_or(usize::MAX)).map(|id| fake_item(id.as_str())).collect()
    }
}

#[async_trait]
impl ListPage for FakeList {
    async fn refresh(&mut self) -> Result<Window, StepError> {
        self.step(Step::Refresh).await?;
        self.entries().await?;
        let items = self.shown();
        let state = self.site.lock();
        Ok(Window { items, limit: state.window, unreadable: Vec::new(), throttled: state.throttled })
    }

    async fn reload(&mut self) -> Result<(), StepError> {
        if self.broken == Some(Fault::PageCrashed) {
            self.broken = None;
        }
        self.step(Step::Load).await?;
        self.site.record(None, What::Reloaded);
        Ok(())
    }

    fn waits(&self) -> Option<watch::Receiver<Option<Waiting>>> {
        Some(self.waits.subscribe())
    }

    fn on_slow(&mut self, observer: OnSlow) {
        self.slow.tell_to(observer);
    }

    async fn evidence(&mut self) -> Evidence {
        Evidence { screenshot: None, html: Some(Bytes::from_static(b"<html>list</html>")) }
    }

    fn process_id(&self) -> Option<u32> {
        None
    }

    async fn close(self: Box<Self>) {}
}

impl Drop for FakeList {
    fn drop(&mut self) {
        self.site.record(None, What::Closed);
    }
}
