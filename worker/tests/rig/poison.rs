//! Browsers with an item that kills the page it is in, some time after it was opened there; and with the times of a real one.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use scrapefleet_api::ItemId;
use scrapefleet_browser::{
    BrowserFactory, Evidence, Fault, Item, Placement, Probe, SiteBrowser, Step, StepError, fake::FakeSite,
};
use tokio::{sync::Notify, time::Instant};

/// How long Chrome takes to start, with a busy machine of two cores.
const START: Duration = Duration::from_millis(1500);
/// How long an item takes to open in the shared page.
const IN_PAGE: Duration = Duration::from_millis(150);
/// And in a page of its own.
const ALONE: Duration = Duration::from_secs(1);

/// Makes such browsers.
#[derive(Debug)]
pub(crate) struct Poisoned {
    pub(crate) site: FakeSite,
    /// What kills its page so long after it was opened, and how.
    pub(crate) poison: BTreeMap<ItemId, (Duration, Fault)>,
}

struct PoisonedBrowser {
    inner: Box<dyn SiteBrowser>,
    poison: BTreeMap<ItemId, (Duration, Fault)>,
    open: BTreeMap<ItemId, (Instant, Placement)>,
}

#[async_trait]
impl BrowserFactory for Poisoned {
    async fn bot_browser(&self, slot: u32) -> Result<Box<dyn SiteBrowser>, StepError> {
        tokio::time::sleep(START).await;
        let inner = self.site.bot_browser(slot).await?;
        Ok(Box::new(PoisonedBrowser { inner, poison: self.poison.clone(), open: BTreeMap::new() }))
    }

    async fn list_page(&self) -> Result<Box<dyn scrapefleet_browser::ListPage>, StepError> {
        self.site.list_page().await
    }
}

impl PoisonedBrowser {
    /// What has killed its page by now, of what was opened so.
    fn fatal(&self, wanted: Placement) -> Vec<(ItemId, Fault)> {
        let fatal = |(id, (opened, placement)): (&ItemId, &(Instant, Placement))| {
            let (delay, fault) = self.poison.get(id)?;
            (*placement == wanted && opened.elapsed() >= *delay).then(|| (id.clone(), *fault))
        };
        self.open.iter().filter_map(fatal).collect()
    }

    /// Fails where the shared page is dead.
    async fn live(&mut self, step: Step) -> Result<(), StepError> {
        let Some((_, fault)) = self.fatal(Placement::Ordinary).first().cloned() else { return Ok(()) };
        if fault == Fault::Timeout {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        Err(StepError::new(step, fault, "poisoned"))
    }
}

#[async_trait]
impl SiteBrowser for PoisonedBrowser {
    async fn open(&mut self, item: &Item, placement: Placement) -> Result<(), StepError> {
        self.live(Step::Open).await?;
        self.open.remove(&item.id);
        tokio::time::sleep(if placement == Placement::Alone { ALONE } else { IN_PAGE }).await;
        self.live(Step::Open).await?;
        self.inner.open(item, placement).await?;
        self.open.insert(item.id.clone(), (Instant::now(), placement));
        Ok(())
    }

    async fn probe(&mut self) -> Result<Probe, StepError> {
        self.live(Step::Probe).await?;
        let mut probe = self.inner.probe().await?;
        for (id, fault) in self.fatal(Placement::Alone) {
            probe.items.remove(&id);
            probe.failed.insert(id, StepError::new(Step::Probe, fault, "its page died").alone());
        }
        Ok(probe)
    }

    async fn take(&mut self, item: &ItemId) -> Result<Bytes, StepError> {
        self.live(Step::Take).await?;
        self.inner.take(item).await
    }

    async fn leave(&mut self, item: &ItemId) -> Result<(), StepError> {
        self.live(Step::Leave).await?;
        self.open.remove(item);
        self.inner.leave(item).await
    }

    async fn reload(&mut self) -> Result<(), StepError> {
        self.inner.reload().await
    }

    async fn round_trip(&mut self) -> Result<Duration, StepError> {
        self.live(Step::RoundTrip).await?;
        self.inner.round_trip().await
    }

    async fn evidence(&mut self, item: Option<&ItemId>) -> Evidence {
        self.inner.evidence(item).await
    }

    fn doubt(&self) -> Option<Arc<Notify>> {
        self.inner.doubt()
    }

    async fn memory(&mut self) -> Option<u64> {
        self.inner.memory().await
    }

    fn process_id(&self) -> Option<u32> {
        self.inner.process_id()
    }

    async fn close(self: Box<Self>) {
        self.inner.close().await;
    }
}
