//! A fake browser that holds items of a [`FakeSite`].

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use scrapefleet_api::ItemId;
use tokio::{sync::Notify, time::Instant};

use super::{
    life::Mishap,
    site::{FakeSite, What},
};
use crate::{
    Evidence, Fault, Item, Observation, OnSlow, PageState, Placement, Probe, SiteBrowser, Step, StepError,
    slow::SlowSteps,
};

/// An answer that takes longer is overdue.
const OVERDUE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Shared,
    Alone,
    Lost,
    Crashed,
}

pub(super) struct FakeBrowser {
    site: FakeSite,
    slot: u32,
    held: BTreeMap<ItemId, Held>,
    broken: Option<Fault>,
    doubt: Arc<Notify>,
    slow: SlowSteps,
}

impl FakeBrowser {
    pub(super) fn new(site: FakeSite, slot: u32) -> Self {
        let (held, doubt) = (BTreeMap::new(), Arc::default());
        Self { site, slot, held, broken: None, doubt, slow: SlowSteps::default() }
    }

    /// Lets the scheduled mishap of this call happen.
    async fn step(&mut self, step: Step, item: Option<&ItemId>) -> Result<(), StepError> {
        let began = Instant::now();
        let mishap = {
            let call = self.site.next_mishap(step, item, Some(self.slot));
            let mut mishap = pin!(self.site.watch(&self.slow, step, call));
            tokio::select! {
                mishap = &mut mishap => mishap,
                () = tokio::time::sleep(OVERDUE) => {
                    self.doubt.notify_waiters();
                    mishap.await
                }
            }
        };
        let fault = match (self.broken, mishap) {
            (Some(fault), _) => fault,
            (None, None) => return Ok(()),
            (None, Some(mishap)) => mishap.fault(),
        };
        let error = StepError::new(step, fault, "scheduled in the fake").after(began.elapsed());
        let alone = item.is_some_and(|id| self.is_alone(id));
        if self.broken.is_none() && alone && mishap != Some(Mishap::KillsBrowser) {
            if let (Some(Mishap::CrashesPage), Some(id)) = (mishap, item) {
                self.held.insert(id.clone(), Held::Crashed);
            }
            return Err(error.alone());
        }
        if matches!(mishap, Some(Mishap::CrashesPage | Mishap::KillsBrowser)) {
            self.broken.get_or_insert(fault);
        }
        Err(error)
    }

    fn is_alone(&self, id: &ItemId) -> bool {
        matches!(self.held.get(id), Some(Held::Alone | Held::Crashed))
    }

    fn drop_what_was_lost(&mut self) {
        let mut state = self.site.lock();
        let held = &mut self.held;
        state.lost.retain(|lost| match held.get_mut(lost) {
            Some(place) => {
                *place = Held::Lost;
                false
            }
            None => true,
        });
    }

    /// Lets tabs of held items crash for which that is scheduled.
    fn crash_tabs(&mut self) {
        let mut state = self.site.lock();
        for (id, held) in self.held.iter_mut().filter(|(_, held)| **held == Held::Alone) {
            if state.take_mishap(Step::Probe, |s| s.item.as_ref() == Some(id)).is_some() {
                *held = Held::Crashed;
            }
        }
    }

    fn page_state(&self) -> PageState {
        let state = self.site.lock();
        match (&state.unavailable, state.disconnected) {
            (Some(why), _) => PageState::Unavailable { why: why.clone() },
            (None, Some(waiting)) if !state.tab_mode => {
                PageState::Disconnected { why: "You have been disconnected".to_owned(), waiting }
            }
            _ => PageState::Connected,
        }
    }

    fn observe(&self, id: &ItemId, held: Held) -> Result<Observation, StepError> {
        match held {
            Held::Lost => Ok(Observation::Lost { why: "not in the page any more".to_owned() }),
            Held::Crashed => Err(StepError::new(Step::Probe, Fault::PageCrashed, "tab crashed").alone()),
            Held::Shared | Held::Alone => Ok(self.site.lock().observe(id)),
        }
    }
}

#[async_trait]
impl SiteBrowser for FakeBrowser {
    async fn open(&mut self, item: &Item, placement: Placement) -> Result<(), StepError> {
        let tab = placement == Placement::Alone || self.site.lock().tab_mode;
        self.site.lock().lost.retain(|lost| *lost != item.id);
        let before = self.held.insert(item.id.clone(), if tab { Held::Alone } else { Held::Shared });
        if let Err(error) = self.step(Step::Open, Some(&item.id)).await {
            match before {
                Some(held) => self.held.insert(item.id.clone(), held),
                None => self.held.remove(&item.id),
            };
            self.site.record(Some(self.slot), What::NotOpened(item.id.clone(), error.fault));
            return Err(error);
        }
        self.site.record(Some(self.slot), What::Opened(item.id.clone(), placement));
        Ok(())
    }

    async fn probe(&mut self) -> Result<Probe, StepError> {
        self.step(Step::Probe, None).await?;
        self.drop_what_was_lost();
        self.crash_tabs();
        let (mut items, mut failed) = (BTreeMap::new(), BTreeMap::new());
        for (id, held) in &self.held {
            match self.observe(id, *held) {
                Ok(seen) => _ = items.insert(id.clone(), seen),
                Err(error) => _ = failed.insert(id.clone(), error),
            }
        }
        let throttled = self.site.lock().throttled;
        Ok(Probe { page: self.page_state(), items, failed, throttled })
    }

    async fn take(&mut self, item: &ItemId) -> Result<Bytes, StepError> {
        self.step(Step::Take, Some(item)).await?;
        let artifact = match self.held.get(item) {
            Some(Held::Shared | Held::Alone) => self.site.lock().artifact(item),
            _ => None,
        };
        let Some(artifact) = artifact else {
            return Err(StepError::new(Step::Take, Fault::NotFound, &format!("{item} has nothing to take")));
        };
        self.site.record(Some(self.slot), What::Took(item.clone()));
        Ok(artifact)
    }

    async fn leave(&mut self, item: &ItemId) -> Result<(), StepError> {
        let left = self.step(Step::Leave, Some(item)).await;
        self.held.remove(item);
        left?;
        self.site.record(Some(self.slot), What::Left(item.clone()));
        Ok(())
    }

    async fn reload(&mut self) -> Result<(), StepError> {
        if self.site.lock().tab_mode {
            return Ok(());
        }
        if self.broken == Some(Fault::PageCrashed) {
            self.broken = None;
        }
        self.step(Step::Load, None).await?;
        let shared = |held: &&mut Held| **held == Held::Shared;
        self.held.values_mut().filter(shared).for_each(|held| *held = Held::Lost);
        self.site.record(Some(self.slot), What::Reloaded);
        Ok(())
    }

    async fn round_trip(&mut self) -> Result<Duration, StepError> {
        let began = Instant::now();
        self.step(Step::RoundTrip, None).await?;
        Ok(began.elapsed())
    }

    async fn evidence(&mut self, item: Option<&ItemId>) -> Evidence {
        if self.broken.is_some() {
            return Evidence::default();
        }
        let html = format!("<html>{}</html>", item.map_or("shared page", ItemId::as_str));
        Evidence { screenshot: Some(Bytes::from_static(b"\x89PNG\r\n\x1a\n")), html: Some(Bytes::from(html)) }
    }

    fn doubt(&self) -> Option<Arc<Notify>> {
        Some(Arc::clone(&self.doubt))
    }

    fn on_slow(&mut self, observer: OnSlow) {
        self.slow.tell_to(observer);
    }

    async fn memory(&mut self) -> Option<u64> {
        self.site.lock().memory
    }

    fn process_id(&self) -> Option<u32> {
        None
    }

    async fn close(self: Box<Self>) {}
}

impl Drop for FakeBrowser {
    fn drop(&mut self) {
        let ids: BTreeSet<_> = self.held.keys().cloned().collect();
        self.site.lock().lost.retain(|lost| !ids.contains(lost));
        self.site.record(Some(self.slot), What::Closed);
    }
}
