//! The site that fake browsers look at: its items, its mood, and a record of what was asked of it.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use scrapefleet_api::ItemId;
use tokio::time::Instant;

use super::{
    browser::FakeBrowser,
    life::{Life, Mishap},
    list::FakeList,
};
use crate::{
    BrowserFactory, Fault, Item, ListPage, Observation, Placement, SiteBrowser, Step, StepError,
    slow::SlowSteps,
};

/// Something that was asked of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, since the site was made.
    pub at: Duration,
    /// The bot's number; none for the list.
    pub slot: Option<u32>,
    /// What.
    pub what: What,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A browser (or list page) was started.
    Started,
    /// A start that failed.
    NotStarted,
    /// An item was opened.
    Opened(ItemId, Placement),
    /// An open that failed.
    NotOpened(ItemId, Fault),
    /// An artifact was taken.
    Took(ItemId),
    /// An item was left.
    Left(ItemId),
    /// The shared page or the list was loaded anew.
    Reloaded,
    /// The browser (or list page) is no more: closed or dropped.
    Closed,
}

/// A scripted site; clones share it. It is its own [`BrowserFactory`].
#[derive(Debug, Clone)]
pub struct FakeSite {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) began: Instant,
    pub(super) items: BTreeMap<ItemId, (Duration, Life)>,
    pub(super) shown: Vec<ItemId>,
    pub(super) window: Option<usize>,
    pub(super) tab_mode: bool,
    pub(super) step_deadline: Duration,
    soft_deadline: Option<Duration>,
    pub(super) latency: Duration,
    pub(super) disconnected: Option<bool>,
    pub(super) unavailable: Option<String>,
    pub(super) throttled: bool,
    pub(super) list_takes: Duration,
    pub(super) memory: Option<u64>,
    pub(super) lost: Vec<ItemId>,
    mishaps: Vec<Scheduled>,
    pub(super) events: Vec<Event>,
    live: usize,
}

#[derive(Debug)]
pub(super) struct Scheduled {
    step: Step,
    pub(super) item: Option<ItemId>,
    slot: Option<u32>,
    mishap: Mishap,
    times: u32,
}

impl Default for FakeSite {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeSite {
    /// An empty site in `inPage` mode: steps are instant, and a hanging one ends after 15 s.
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            began: Instant::now(),
            items: BTreeMap::new(),
            shown: Vec::new(),
            window: None,
            tab_mode: false,
            step_deadline: Duration::from_secs(15),
            soft_deadline: None,
            latency: Duration::ZERO,
            disconnected: None,
            unavailable: None,
            throttled: false,
            list_takes: Duration::ZERO,
            memory: None,
            lost: Vec::new(),
            mishaps: Vec::new(),
            events: Vec::new(),
            live: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Opens every item in a tab of its own.
    #[must_use]
    pub fn in_tabs(self) -> Self {
        self.lock().tab_mode = true;
        self
    }

    /// The list shows only the newest `limit` items.
    #[must_use]
    pub fn showing(self, limit: usize) -> Self {
        self.lock().window = Some(limit);
        self
    }

    /// How long each call takes.
    #[must_use]
    pub fn with_latency(self, latency: Duration) -> Self {
        self.lock().latency = latency;
        self
    }

    /// When a hanging call gives up.
    #[must_use]
    pub fn with_step_deadline(self, deadline: Duration) -> Self {
        self.lock().step_deadline = deadline;
        self
    }

    /// When a call is slow, of the steps that have such a deadline. None ever is by default.
    #[must_use]
    pub fn with_soft_deadline(self, deadline: Duration) -> Self {
        self.lock().soft_deadline = Some(deadline);
        self
    }

    /// Adds an item, whose life begins now. Adding one that is there gives it a new life.
    ///
    /// # Panics
    /// When `id` is no item id.
    pub fn add(&self, id: &str, life: Life) -> Item {
        let item = fake_item(id);
        let mut state = self.lock();
        let now = state.now();
        state.items.insert(item.id.clone(), (now, life));
        state.shown.retain(|shown| *shown != item.id);
        state.shown.insert(0, item.id.clone());
        item
    }

    /// Takes an item off the list; it goes on as before.
    pub fn unlist(&self, id: &ItemId) {
        self.lock().shown.retain(|shown| shown != id);
    }

    /// Makes the next `times` calls of `step` for `item` go wrong, in whichever browser.
    pub fn mishap(&self, step: Step, item: &ItemId, mishap: Mishap, times: u32) {
        self.schedule(step, Some(item.clone()), None, mishap, times);
    }

    /// Makes the next `times` calls of `step` in any browser (or the list, for [`Step::Refresh`] and [`Step::Load`]) go wrong.
    pub fn mishap_anywhere(&self, step: Step, mishap: Mishap, times: u32) {
        self.schedule(step, None, None, mishap, times);
    }

    /// Makes the next `times` calls of `step` in the browser of bot `slot` go wrong.
    pub fn mishap_in(&self, slot: u32, step: Step, mishap: Mishap, times: u32) {
        self.schedule(step, None, Some(slot), mishap, times);
    }

    /// The next `times` browsers cannot be started.
    pub fn refuse_to_start(&self, times: u32) {
        self.mishap_anywhere(Step::Launch, Mishap::Fails(Fault::CannotStart), times);
    }

    /// Shared pages lose their connection. `waiting`: they are expected to reconnect by themselves.
    pub fn disconnect(&self, waiting: bool) {
        self.lock().disconnected = Some(waiting);
    }

    /// Shared pages are connected again, with the items they had.
    pub fn reconnect(&self) {
        self.lock().disconnected = None;
    }

    /// The site as a whole cannot be used, for this reason; none: it can again.
    pub fn set_unavailable(&self, why: Option<&str>) {
        self.lock().unavailable = why.map(str::to_owned);
    }

    /// Whether the site says that it drops what is asked too fast.
    pub fn set_throttled(&self, throttled: bool) {
        self.lock().throttled = throttled;
    }

    /// From now on the list's page shows its entries only so long after it was asked for them, and what it waits for is told
    /// meanwhile. A look that takes longer than a step may ends without having found any.
    pub fn set_list_takes(&self, time: Duration) {
        self.lock().list_takes = time;
    }

    /// What each browser says of its memory, in bytes.
    pub fn set_memory(&self, bytes: Option<u64>) {
        self.lock().memory = bytes;
    }

    /// An item falls out of whichever page holds it, until it is opened again.
    pub fn lose(&self, id: &ItemId) {
        self.lock().lost.push(id.clone());
    }

    /// All that was asked so far, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// Browsers and list pages that are running.
    #[must_use]
    pub fn live(&self) -> usize {
        self.lock().live
    }

    fn schedule(&self, step: Step, item: Option<ItemId>, slot: Option<u32>, mishap: Mishap, times: u32) {
        self.lock().mishaps.push(Scheduled { step, item, slot, mishap, times });
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn record(&self, slot: Option<u32>, what: What) {
        let mut state = self.lock();
        match what {
            What::Started => state.live += 1,
            What::Closed => state.live -= 1,
            _ => {}
        }
        let at = state.now();
        state.events.push(Event { at, slot, what });
    }

    /// What goes wrong with this call, after the time a call takes.
    pub(super) async fn next_mishap(
        &self,
        step: Step,
        item: Option<&ItemId>,
        slot: Option<u32>,
    ) -> Option<Mishap> {
        let (latency, deadline, mishap) = {
            let mut state = self.lock();
            let fits = |s: &Scheduled| {
                s.item.as_ref().is_none_or(|wanted| Some(wanted) == item)
                    && s.slot.is_none_or(|wanted| Some(wanted) == slot)
            };
            (state.latency, state.step_deadline, state.take_mishap(step, fits))
        };
        tokio::time::sleep(if mishap == Some(Mishap::Hangs) { deadline } else { latency }).await;
        mishap
    }

    /// Waits for a part of `step`, and says when that is slow.
    pub(super) async fn watch<T>(&self, slow: &SlowSteps, step: Step, part: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let soft = self.lock().soft_deadline.filter(|_| can_be_slow(step));
        let Some(soft) = soft else { return part.await };
        let mut part = pin!(part);
        tokio::select! {
            biased;
            answer = &mut part => return answer,
            () = tokio::time::sleep(soft) => slow.is_slow(step, began),
        }
        part.await
    }

    async fn start(&self, slot: Option<u32>) -> Result<(), StepError> {
        let Some(mishap) = self.next_mishap(Step::Launch, None, slot).await else {
            self.record(slot, What::Started);
            return Ok(());
        };
        self.record(slot, What::NotStarted);
        Err(StepError::new(Step::Launch, mishap.fault(), "the fake browser was told not to start"))
    }
}

impl State {
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Takes the first scheduled mishap of `step` that `fits`.
    pub(super) fn take_mishap(&mut self, step: Step, fits: impl Fn(&Scheduled) -> bool) -> Option<Mishap> {
        let at = self.mishaps.iter().position(|s| s.step == step && fits(s))?;
        let mishap = self.mishaps[at].mishap;
        self.mishaps[at].times = self.mishaps[at].times.saturating_sub(1);
        self.mishaps.retain(|s| s.times > 0);
        Some(mishap)
    }

    /// What a probe sees of an item that is open.
    pub(super) fn observe(&self, id: &ItemId) -> Observation {
        let Some((added, life)) = self.items.get(id) else {
            return Observation::Gone { proof: format!("no item {id}") };
        };
        let age = self.now().saturating_sub(*added);
        if life.gone.is_some_and(|gone| age >= gone) {
            Observation::Gone { proof: format!("{id} has expired") }
        } else if life.ends.is_some_and(|ends| age >= ends) {
            Observation::Ended
        } else {
            let moved = age.min(life.stalls.unwrap_or(age));
            Observation::Live { progress: moved.as_secs().to_string() }
        }
    }

    /// What is taken from an item now; none before its end.
    pub(super) fn artifact(&self, id: &ItemId) -> Option<Bytes> {
        let (added, life) = self.items.get(id)?;
        let since_end = self.now().saturating_sub(*added).checked_sub(life.ends?)?;
        match &life.early {
            Some((early, lasts)) if since_end < *lasts => Some(early.clone()),
            _ => Some(life.artifact.clone()),
        }
    }
}

impl Mishap {
    pub(super) fn fault(self) -> Fault {
        match self {
            Self::Fails(fault) => fault,
            Self::Hangs => Fault::Timeout,
            Self::CrashesPage => Fault::PageCrashed,
            Self::KillsBrowser => Fault::BrowserGone,
        }
    }
}

/// Whether a step is under `policies.step`; the others have deadlines of their own.
fn can_be_slow(step: Step) -> bool {
    !matches!(step, Step::Launch | Step::Probe | Step::RoundTrip)
}

/// The item with this id and a URL made of it.
///
/// # Panics
/// When `id` is no item id.
pub(super) fn fake_item(id: &str) -> Item {
    match ItemId::new(id) {
        Ok(id) => Item { url: format!("http://fake.test/{id}"), id },
        Err(error) => panic!("{error}"),
    }
}

#[async_trait]
impl BrowserFactory for FakeSite {
    async fn bot_browser(&self, slot: u32) -> Result<Box<dyn SiteBrowser>, StepError> {
        self.start(Some(slot)).await?;
        Ok(Box::new(FakeBrowser::new(self.clone(), slot)))
    }

    async fn list_page(&self) -> Result<Box<dyn ListPage>, StepError> {
        self.start(None).await?;
        Ok(Box::new(FakeList::new(self.clone())))
    }
}
