//! A browser that holds items, as a recipe says.

mod sight;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use scrapefleet_api::ItemId;
use scrapefleet_policy::Instant;
use serde_json::{Value, json};
use tokio::sync::Notify;
use url::Url;

use super::{
    answer,
    artifact::artifact,
    budget::Pace,
    factory::Shared,
    held::{Held, Place},
    outage::Outage,
    runner::{Runner, site_fault},
};
use crate::{
    Evidence, Fault, Item, OnSlow, PageState, Placement, Probe, SiteBrowser, Step, StepError, process_tree,
    session::{Under, Window},
};
use sight::{LAST_LOOK, LastSight};

/// Windows that the site opened are closed with every so-manieth probe.
const SWEEP_EVERY: u64 = 20;

/// How long leaving an item is tried that could not be opened.
const TIDY: Duration = Duration::from_secs(2);

/// One Chrome that holds items.
pub(super) struct RecipeBrowser {
    runner: Runner,
    held: BTreeMap<ItemId, Held>,
    page: SharedPage,
    sight: LastSight,
    probes: u64,
}

/// What is known of the page that items share.
struct SharedPage {
    mark: u64,
    outage: Outage,
    pace: Pace,
}

impl RecipeBrowser {
    /// Starts a Chrome and, where items share a page, loads that page.
    pub(super) async fn start(shared: Arc<Shared>, slot: u32) -> Result<Self, StepError> {
        let outage = shared.plan.outage();
        let page = SharedPage { mark: 0, outage, pace: Pace::new(shared.budget.actions_per_second()) };
        let runner = Runner::start(shared, &format!("bot{slot}")).await?;
        let (held, sight) = (BTreeMap::new(), LastSight::default());
        let mut browser = Self { runner, held, page, sight, probes: 0 };
        browser.load_page().await?;
        Ok(browser)
    }

    fn shares(&self) -> bool {
        self.runner.shared.plan.shares
    }

    fn step(&self, step: Step) -> Under {
        Under::new(step, self.runner.shared.settings.deadlines.step)
    }

    async fn load_page(&mut self) -> Result<(), StepError> {
        let shared = Arc::clone(&self.runner.shared);
        let Some(url) = shared.addresses.page().filter(|_| shared.plan.shares) else { return Ok(()) };
        shared.allow(Step::Load, url).await?;
        shared.budget.load(Step::Load).await?;
        let under = self.step(Step::Load);
        self.page.mark = self.runner.next_mark();
        self.runner.load_home(under, url).await?;
        self.runner.await_ready(under, url, self.page.mark).await
    }

    fn lose_shared(&mut self, why: &str) {
        for held in self.held.values_mut().filter(|held| held.place == Place::Shared) {
            held.lost.get_or_insert_with(|| why.to_owned());
        }
    }

    /// An item's part of an order.
    fn order(&self, id: &ItemId, shared: bool) -> Value {
        self.runner.shared.plan.item(id.as_str(), shared)
    }

    async fn open_shared(&mut self, item: &Item) -> Result<(), StepError> {
        self.page.pace.act(self.runner.shared.budget.actions_per_second()).await;
        let under = self.step(Step::Open);
        let home = self.runner.home.clone();
        let opened = self.open_in(under, &home, &item.id, true).await;
        match opened {
            Ok(answer) => {
                let outage = self.runner.shared.plan.outage();
                let held = Held::new(Place::Shared, &answer.url, answer.gone, outage);
                self.held.insert(item.id.clone(), held);
                Ok(())
            }
            Err(error) => {
                if error.layer() == crate::Layer::Item {
                    let look = Under::limit(Step::Open, LAST_LOOK * 2);
                    self.keep_sight(look, &home, &item.id, &error).await;
                    self.tidy(&item.id).await;
                }
                Err(error)
            }
        }
    }

    /// Leaves an item that could not be opened, so that nothing of it stays in the page.
    async fn tidy(&mut self, id: &ItemId) {
        let under = Under::limit(Step::Leave, TIDY);
        if let Err(why) = self.leave_shared(under, id).await {
            tracing::debug!(%id, %why, "an item that was not opened could not be left");
        }
    }

    async fn open_alone(&mut self, item: &Item, url: &Url) -> Result<(), StepError> {
        let shared = Arc::clone(&self.runner.shared);
        shared.budget.load(Step::Open).await?;
        let whole = self.step(Step::Open);
        let window = self.runner.new_tab(whole).await?;
        let under = whole.at_most(shared.settings.deadlines.tab_share());
        match self.open_tab(under, &window, item, url).await {
            Ok(held) => {
                self.held.insert(item.id.clone(), held);
                Ok(())
            }
            Err(error) => {
                self.keep_sight(whole, &window, &item.id, &error).await;
                Err(self.give_up_tab(whole, &window, error).await)
            }
        }
    }

    async fn open_tab(
        &mut self,
        under: Under,
        window: &Window,
        item: &Item,
        url: &Url,
    ) -> Result<Held, StepError> {
        self.runner.load(under, window, url).await?;
        let answer = self.open_in(under, window, &item.id, false).await?;
        let outage = self.runner.shared.plan.outage();
        Ok(Held::new(Place::Tab(window.clone()), &answer.url, answer.gone, outage))
    }

    /// Has a page open an item and judges what it answers.
    async fn open_in(
        &mut self,
        under: Under,
        window: &Window,
        id: &ItemId,
        shared: bool,
    ) -> Result<answer::Open, StepError> {
        let plan = &self.runner.shared.plan;
        let order = json!({
            "task": "open",
            "item": self.order(id, shared),
            "token": self.page.mark,
            "unavailable": plan.unavailable,
            "disconnected": plan.disconnected,
        });
        let sign = plan.open_sign(id.as_str());
        let seen: answer::Open = self.runner.run(under, window, order).await?;
        judge_open(under, seen, sign.as_deref(), shared)
    }

    /// Closes a tab that failed, and says whether only the tab is lost.
    async fn give_up_tab(&mut self, whole: Under, window: &Window, error: StepError) -> StepError {
        let limit = self.runner.shared.settings.deadlines.unresponsive;
        let crashed = matches!(error.fault, Fault::Timeout | Fault::PageCrashed | Fault::TabClosed);
        // A tab that does not answer would keep the driver waiting, so Chrome itself closes it.
        if error.fault == Fault::Timeout {
            self.runner.session.force_close(window).await;
        } else if let Err(why) = self.runner.session.close_tab(whole.at_most(limit), window).await {
            tracing::debug!(%why, "a tab that failed could not be closed");
        }
        if !crashed {
            return error;
        }
        let home = self.runner.home.clone();
        match self.runner.echo(whole.at_most(limit), &home).await {
            Ok(_) => error.alone(),
            Err(_) => error,
        }
    }

    async fn leave_shared(&mut self, under: Under, id: &ItemId) -> Result<(), StepError> {
        let order = json!({ "task": "leave", "item": self.order(id, true) });
        let home = self.runner.home.clone();
        let answer: answer::Left = self.runner.run(under, &home, order).await?;
        if answer.left {
            return Ok(());
        }
        Err(under.error(Fault::Unusable, "the item is still in the page after `item.leave`"))
    }

    /// One look at the items of one page.
    async fn look(
        &mut self,
        under: Under,
        window: &Window,
        ids: &[ItemId],
        shared: bool,
    ) -> Result<answer::Probe, StepError> {
        let plan = &self.runner.shared.plan;
        let items: Vec<_> = ids.iter().map(|id| self.order(id, shared)).collect();
        let order = json!({
            "task": "probe",
            "items": items,
            "token": self.page.mark,
            "ready": plan.ready.as_ref().filter(|_| shared),
            "adopt": shared,
            "unavailable": plan.unavailable,
            "disconnected": plan.disconnected,
            "reconnects": plan.reconnects,
            "throttled": plan.throttled,
        });
        self.runner.run(under, window, order).await
    }

    /// Looks at the shared page, when there is one.
    async fn probe_shared(&mut self, probe: &mut Probe) -> Result<(), StepError> {
        let ids: Vec<_> = self.placed(|place| *place == Place::Shared);
        let limit = self.runner.shared.settings.deadlines.unresponsive;
        let home = self.runner.home.clone();
        let seen = self.look(Under::limit(Step::Probe, limit), &home, &ids, true).await?;
        if !seen.marked {
            self.lose_shared(&format!("its page was left for {}", crate::fault::printable(&seen.url, 200)));
        }
        probe.throttled = self.page.pace.see(seen.throttled);
        probe.page = self.page_state(&seen);
        for (id, item) in ids.into_iter().zip(&seen.items) {
            self.note(probe, id, item);
        }
        Ok(())
    }

    fn page_state(&mut self, seen: &answer::Probe) -> PageState {
        if let Some(why) = &seen.unavailable {
            return PageState::Unavailable { why: crate::fault::printable(why, 300) };
        }
        let away = || format!("the page is {} and not ready", seen.url);
        let sign = seen.disconnected.clone().or_else(|| (!seen.ready).then(away));
        let sign = sign.map(|why| crate::fault::printable(&why, 300));
        self.page.outage.see(Instant::now(), sign, seen.reconnects)
    }

    fn note(&self, probe: &mut Probe, id: ItemId, seen: &answer::Seen) {
        let Some(held) = self.held.get(&id) else { return };
        match held.observation(seen) {
            Ok(observation) => _ = probe.items.insert(id, observation),
            Err(error) => _ = probe.failed.insert(id, error.at(&held.url)),
        }
    }

    /// Looks at each item that has a tab of its own.
    async fn probe_tabs(&mut self, probe: &mut Probe) -> Result<(), StepError> {
        let whole = self.step(Step::Probe);
        for id in self.placed(|place| *place != Place::Shared) {
            let window = match self.held.get(&id).map(|held| held.place.clone()) {
                Some(Place::Tab(window)) => window,
                Some(Place::Failed(error)) => {
                    probe.failed.insert(id, error);
                    continue;
                }
                _ => continue,
            };
            let limit = self.runner.shared.settings.deadlines.unresponsive;
            match self.look(whole.at_most(limit), &window, std::slice::from_ref(&id), false).await {
                Ok(seen) => self.note_tab(probe, id, &seen),
                Err(error) => {
                    self.keep_sight(whole, &window, &id, &error).await;
                    let error = self.give_up_tab(whole, &window, error).await;
                    if error.layer() != crate::Layer::Item {
                        return Err(error);
                    }
                    self.fail_tab(&id, &error);
                    probe.failed.insert(id, error);
                }
            }
        }
        Ok(())
    }

    fn note_tab(&mut self, probe: &mut Probe, id: ItemId, seen: &answer::Probe) {
        if let Some(held) = self.held.get_mut(&id) {
            held.see_tab(seen, Instant::now());
        }
        if let Some(item) = seen.items.first() {
            self.note(probe, id, item);
        }
    }

    fn fail_tab(&mut self, id: &ItemId, error: &StepError) {
        if let Some(held) = self.held.get_mut(id) {
            held.place = Place::Failed(error.clone());
        }
    }

    fn placed(&self, wanted: impl Fn(&Place) -> bool) -> Vec<ItemId> {
        self.held.iter().filter(|(_, held)| wanted(&held.place)).map(|(id, _)| id.clone()).collect()
    }

    /// Closes windows that the site opened.
    async fn sweep(&mut self) -> Result<(), StepError> {
        self.probes += 1;
        if !self.probes.is_multiple_of(SWEEP_EVERY) {
            return Ok(());
        }
        let under = self.step(Step::Probe);
        for window in self.runner.session.windows(under).await? {
            let ours = window == self.runner.home
                || self.held.values().any(|held| held.place == Place::Tab(window.clone()));
            if !ours {
                tracing::debug!(?window, "closing a window that the site opened");
                self.runner.session.force_close(&window).await;
            }
        }
        Ok(())
    }

    fn window_of(&self, id: &ItemId) -> Option<(Window, bool)> {
        match &self.held.get(id)?.place {
            Place::Shared => Some((self.runner.home.clone(), true)),
            Place::Tab(window) => Some((window.clone(), false)),
            Place::Failed(_) => None,
        }
    }

    /// After a failure in an item's own tab: the tab is given up when it does not answer.
    async fn judge_tab(&mut self, whole: Under, id: &ItemId, window: &Window, error: StepError) -> StepError {
        if !matches!(error.fault, Fault::Timeout | Fault::PageCrashed | Fault::TabClosed) {
            return error;
        }
        let error = self.give_up_tab(whole, window, error).await;
        self.fail_tab(id, &error);
        error
    }
}

/// What the answer to opening an item means.
fn judge_open(
    under: Under,
    seen: answer::Open,
    sign: Option<&str>,
    shared: bool,
) -> Result<answer::Open, StepError> {
    if seen.holds || seen.gone.is_some() {
        return Ok(seen);
    }
    let site = site_fault(seen.status, &seen.url).filter(|_| !shared);
    let error = if let Some(proof) = &seen.refuses {
        under.error(Fault::SiteRefuses, proof)
    } else if let Some(why) = &seen.disconnected {
        under.error(Fault::SiteUnreachable, &format!("the page lost its connection to the site: {why}"))
    } else if let Some((fault, why)) = site {
        under.error(fault, &why)
    } else {
        let why = if seen.root { "the item is there, but not open" } else { "the item is not there" };
        let error = under.error(Fault::NotFound, why);
        if let Some(sign) = sign { error.selector(sign) } else { error }
    };
    Err(error.at(&seen.url))
}

#[async_trait]
impl SiteBrowser for RecipeBrowser {
    async fn open(&mut self, item: &Item, placement: Placement) -> Result<(), StepError> {
        self.forget_sight();
        let url = self.runner.shared.item_url(item)?;
        let shared = Arc::clone(&self.runner.shared);
        shared.allow(Step::Open, &url).await?;
        // What is open is opened afresh.
        self.leave(&item.id).await?;
        if placement == Placement::Ordinary && self.shares() {
            self.open_shared(item).await
        } else {
            self.open_alone(item, &url).await
        }
        .map_err(|error| if error.url.is_empty() { error.at(url.as_str()) } else { error })
    }

    fn wait_before_open(&self, placement: Placement) -> Duration {
        let shared = placement == Placement::Ordinary && self.shares();
        if shared { Duration::ZERO } else { self.runner.shared.budget.wait() }
    }

    async fn probe(&mut self) -> Result<Probe, StepError> {
        let (items, failed) = (BTreeMap::new(), BTreeMap::new());
        let mut probe = Probe { page: PageState::Connected, items, failed, throttled: false };
        if self.shares() {
            self.probe_shared(&mut probe).await?;
        }
        self.probe_tabs(&mut probe).await?;
        self.sweep().await?;
        Ok(probe)
    }

    async fn take(&mut self, item: &ItemId) -> Result<Bytes, StepError> {
        let under = self.step(Step::Take);
        let Some((window, shared)) = self.window_of(item) else {
            return Err(under.error(Fault::NotFound, &format!("{item} is not open in this browser")));
        };
        let (plan, bounds) = (&self.runner.shared.plan, self.runner.shared.settings.bounds);
        let order = json!({
            "task": "take",
            "item": self.order(item, shared),
            "ways": plan.ways(),
            "longest": bounds.artifact,
        });
        let url = self.held.get(item).map(|held| held.url.clone()).unwrap_or_default();
        let tab_share = self.runner.shared.settings.deadlines.tab_share();
        let inner = if shared { under } else { under.at_most(tab_share) };
        let taken: Result<answer::Taken, _> = self.runner.run(inner, &window, order).await;
        match taken {
            Ok(taken) => {
                artifact(taken, bounds.artifact).map_err(|(fault, why)| under.error(fault, &why).at(&url))
            }
            Err(error) if shared => Err(error.at(&url)),
            Err(error) => Err(self.judge_tab(under, item, &window, error).await.at(&url)),
        }
    }

    async fn leave(&mut self, item: &ItemId) -> Result<(), StepError> {
        let Some(held) = self.held.remove(item) else { return Ok(()) };
        match held.place {
            // It is not there any more; leaving it would fail for that reason alone.
            Place::Shared if held.lost.is_some() => Ok(()),
            Place::Shared => {
                self.page.pace.act(self.runner.shared.budget.actions_per_second()).await;
                let under = self.step(Step::Leave);
                self.leave_shared(under, item).await.map_err(|error| error.at(&held.url))
            }
            Place::Tab(window) => {
                let whole = self.step(Step::Leave);
                let limit = self.runner.shared.settings.deadlines.unresponsive;
                match self.runner.session.close_tab(whole.at_most(limit), &window).await {
                    Ok(()) => Ok(()),
                    Err(error) => match self.give_up_tab(whole, &window, error).await {
                        // The tab is gone, which is all that was asked for.
                        error if error.alone => Ok(()),
                        error => Err(error.at(&held.url)),
                    },
                }
            }
            Place::Failed(_) => Ok(()),
        }
    }

    async fn reload(&mut self) -> Result<(), StepError> {
        if !self.shares() {
            return Ok(());
        }
        self.lose_shared("its page was loaded anew");
        self.page.outage = self.runner.shared.plan.outage();
        self.load_page().await
    }

    async fn round_trip(&mut self) -> Result<Duration, StepError> {
        let limit = self.runner.shared.settings.deadlines.unresponsive;
        let home = self.runner.home.clone();
        self.runner.echo(Under::limit(Step::RoundTrip, limit), &home).await
    }

    async fn evidence(&mut self, item: Option<&ItemId>) -> Evidence {
        match self.scene(item) {
            Some(window) => self.runner.evidence(&window).await,
            None => item.and_then(|id| self.sight.of(id)).cloned().unwrap_or_default(),
        }
    }

    fn doubt(&self) -> Option<Arc<Notify>> {
        Some(Arc::clone(&self.runner.doubt))
    }

    fn on_slow(&mut self, observer: OnSlow) {
        self.runner.session.on_slow(observer);
    }

    async fn memory(&mut self) -> Option<u64> {
        process_tree::measure(self.process_id()?).await
    }

    fn process_id(&self) -> Option<u32> {
        self.runner.process_id()
    }

    async fn close(self: Box<Self>) {
        self.runner.close().await;
    }
}
