//! What a bot leaves behind of browsers that it throws away, and what that must not cost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{TryStreamExt as _, stream::BoxStream};
use rig::Rig;
use scrapefleet_api::ItemId;
use scrapefleet_browser::{
    BrowserFactory, Evidence, Fault, Item, ListPage, Placement, Probe, SiteBrowser, Step, StepError,
    fake::{Life, Mishap, What},
};
use scrapefleet_store::{Artifact, ArtifactStore, Key, Metadata, Put, StoreError, memory::Outage};
use scrapefleet_telemetry::{Metrics, logging};
use scrapefleet_worker::{
    Bot, BotExit, BotStatus, Parts, PostMortems, Signals, Standstill, WorkerMetrics, postmortem,
};
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle, time::Instant};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A bot of a rig, with what it counts.
struct Watched {
    bot: JoinHandle<BotExit>,
    signals: Signals,
    metrics: WorkerMetrics,
}

impl Watched {
    fn counted(&self, outcome: &str) -> u64 {
        self.metrics.post_mortems.with_label_values(&[outcome]).get()
    }

    async fn drain(self) -> BotExit {
        self.signals.drain.cancel();
        self.bot.await.unwrap()
    }
}

fn start(
    rig: &Rig,
    all: PostMortems,
    store: Arc<dyn ArtifactStore>,
    factory: Arc<dyn BrowserFactory>,
) -> Watched {
    let metrics = WorkerMetrics::new(&Metrics::new("test", "0").unwrap()).unwrap();
    let parts = Parts {
        factory,
        queue: Arc::new(rig.queue.clone()),
        store,
        tally: rig.tally.clone(),
        metrics: metrics.clone(),
        clock: Arc::new(rig.clock),
        status: watch::channel(BotStatus::starting(0, 1)).0,
    };
    let signals = Signals::default();
    let bot = Bot::new(rig.config.clone(), parts).with_post_mortems(all);
    Watched { bot: tokio::spawn(bot.run(signals.clone())), signals, metrics }
}

fn start_plain(rig: &Rig) -> Watched {
    let all = PostMortems::new(Some("pod-7".to_owned()), logging::recent());
    start(rig, all, rig.store.clone(), Arc::new(rig.site.clone()))
}

/// Waits, in virtual time, until `condition` holds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + secs(120);
    while !condition() {
        assert!(Instant::now() < end, "not {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn keys(rig: &Rig) -> Vec<Key> {
    let prefix = Key::post_mortems(&rig.config.fleet);
    rig.store.list(&prefix).await.unwrap().try_collect().await.unwrap()
}

/// What was written down, in order.
async fn read(rig: &Rig) -> Vec<Value> {
    let mut read = Vec::new();
    let is_report = |key: &&Key| key.as_str().rsplit('.').next() == Some("json");
    for key in keys(rig).await.iter().filter(is_report) {
        let object = rig.store.get(key).await.unwrap().unwrap();
        read.push(serde_json::from_slice(&object.bytes).unwrap());
    }
    read
}

/// An endless item for a bot to hold.
async fn held(rig: &Rig) {
    let item = rig.site.add("a", Life::endless());
    rig.publish(&[item]).await;
}

async fn until_opened(rig: &Rig, times: usize) {
    let opened = || rig.site.events().iter().filter(|e| matches!(e.what, What::Opened(..))).count();
    until("opened", || opened() >= times).await;
}

#[tokio::test(start_paused = true)]
async fn a_hung_browser_leaves_what_it_held_and_why_and_is_asked_nothing() {
    // The log is one for the whole process; no other test looks at it.
    logging::init_to(io::sink, logging::Format::Text, "info").unwrap();
    let rig = Rig::new();
    held(&rig).await;
    let bot = start_plain(&rig);
    until_opened(&rig, 1).await;
    rig.site.mishap_anywhere(Step::Probe, Mishap::Hangs, 1);
    until("written", || bot.counted("written") == 1).await;
    until_opened(&rig, 2).await;

    let found = read(&rig).await.remove(0);
    assert_eq!(
        (&found["fleet"], &found["host"], &found["last"]),
        (&"fleet".into(), &"pod-7".into(), &false.into())
    );
    assert_eq!((&found["why"]["fault"], &found["why"]["step"]), (&"Timeout".into(), &"Probe".into()));
    assert_eq!(found["why"]["message"], "scheduled in the fake");
    let hold = &found["bot"]["holds"][0];
    assert_eq!((&hold["item"], &hold["step"], &hold["attempt"]), (&"a".into(), &"open".into(), &1.into()));
    assert_eq!(found["bot"]["browser"]["abandoned"], 0);
    assert!(found["processes"].is_null() && found["noProcesses"].is_string(), "{found}");
    assert!(
        found["screenshot"].is_null() && found["noScreenshot"].as_str().unwrap().contains("not asked"),
        "{found}"
    );
    let log = found["log"].as_array().unwrap();
    assert!(log.len() <= logging::LINES);
    assert!(log.iter().any(|line| line.as_str().unwrap().contains("the browser is abandoned")), "{log:?}");
    assert_eq!(keys(&rig).await.len(), 1, "no picture");
    assert_eq!(bot.drain().await, BotExit::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_answers_gives_a_last_picture() {
    let mut rig = Rig::new();
    rig.config.abandonment.item_failures = 1;
    let item = rig.site.add("a", Life::lasting(secs(5)));
    rig.site.mishap(Step::Take, &item.id, Mishap::Fails(Fault::NotFound), 1);
    rig.publish(std::slice::from_ref(&item)).await;
    let bot = start_plain(&rig);
    until("written", || bot.counted("written") == 1).await;
    let found = read(&rig).await.remove(0);
    assert_eq!(found["why"]["fault"], "NotFound");
    let key = Key::new(found["screenshot"].as_str().unwrap()).unwrap();
    let picture = rig.store.get(&key).await.unwrap().unwrap();
    assert!(picture.bytes.starts_with(b"\x89PNG"));
    assert_eq!(picture.metadata.content_type, "image/png");
    bot.drain().await;
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_ends_with_its_browser_leaves_its_last_words_before_it_is_gone() {
    let mut rig = Rig::new();
    rig.config.abandonment.rebuilds = 2;
    rig.site.refuse_to_start(100);
    let bot = start_plain(&rig);
    assert_eq!(bot.bot.await.unwrap(), BotExit::BrowserNotRebuilt);
    let found = read(&rig).await;
    assert_eq!(found.len(), 1, "one for the end, none for each start that failed");
    assert_eq!((&found[0]["last"], &found[0]["why"]["fault"]), (&true.into(), &"CannotStart".into()));
}

#[tokio::test]
async fn a_bot_that_does_nothing_any_more_leaves_what_it_last_showed() {
    let rig = Rig::new();
    let all = PostMortems::new(Some("pod-7".to_owned()), logging::recent());
    let write = || {
        let mut bot = BotStatus::starting(3, 20);
        bot.last_reason = Some("a trouble before".to_owned());
        let (what, why) = ("the runtime".to_owned(), "the runtime: nothing has moved".to_owned());
        let still = Standstill { fleet: rig.config.fleet.clone(), bot, what, still: secs(4), why };
        all.write_standstill(still, jiff::Timestamp::UNIX_EPOCH, rig.store.clone())
    };
    for nth in 0..postmortem::MOST_PER_HOUR + 2 {
        let written = write().await.unwrap();
        assert_eq!(written.is_some(), nth < postmortem::MOST_PER_HOUR, "{nth}");
    }
    let found = read(&rig).await;
    assert_eq!(found.len(), postmortem::MOST_PER_HOUR as usize);
    let why = &found[0]["why"];
    assert_eq!((&why["fault"], &why["step"]), (&"NoProgress".into(), &"the runtime".into()));
    assert_eq!((&why["seconds"], &why["message"]), (&4.0.into(), &"the runtime: nothing has moved".into()));
    assert_eq!((&found[0]["bot"]["slot"], &found[0]["last"]), (&3.into(), &true.into()));
    assert_eq!(
        (&found[0]["host"], &found[0]["bot"]["lastReason"]),
        (&"pod-7".into(), &"a trouble before".into())
    );
    assert!(found[0]["noScreenshot"].is_string() && found[0]["noProcesses"].is_string());
}

/// Kills a browser and waits until that is noticed.
async fn kill_browser(rig: &Rig) {
    until("a browser", || rig.site.live() == 1).await;
    let before = rig.totals().browsers_abandoned;
    rig.site.mishap_anywhere(Step::Probe, Mishap::KillsBrowser, 1);
    until("abandoned", || rig.totals().browsers_abandoned > before).await;
}

/// Kills browsers until a post-mortem is counted under `outcome`.
async fn kill_until(rig: &Rig, bot: &Watched, outcome: &str) {
    for _ in 0..2 * postmortem::MOST_PER_HOUR {
        if bot.counted(outcome) > 0 {
            return;
        }
        kill_browser(rig).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bot_leaves_so_many_an_hour_whatever_pods_it_has_been() {
    let mut rig = Rig::new();
    rig.config.abandonment.rebuilds = 1000;
    held(&rig).await;
    for slot in [1, 0] {
        rig.config.slot = slot;
        // The second time it is the same bot in a pod that remembers nothing.
        for written in [u64::from(postmortem::MOST_PER_HOUR), 0] {
            let bot = start_plain(&rig);
            kill_until(&rig, &bot, "limited").await;
            assert_eq!((bot.counted("written"), bot.counted("limited")), (written, 1), "bot {slot}");
            bot.drain().await;
        }
    }
    assert_eq!(keys(&rig).await.len(), 2 * postmortem::MOST_PER_HOUR as usize);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_costs_the_post_mortem_and_nothing_else() {
    let rig = Rig::new();
    held(&rig).await;
    let bot = start_plain(&rig);
    until_opened(&rig, 1).await;
    rig.store.set_outage(Some(Outage::Full));
    kill_browser(&rig).await;
    until("failed", || bot.counted("failed") == 1).await;
    until_opened(&rig, 2).await;
    rig.store.set_outage(None);
    assert!(keys(&rig).await.is_empty());
    bot.drain().await;
}

/// Never answers a put of a record; all else is as in the store within.
#[derive(Debug)]
struct Stuck(Arc<dyn ArtifactStore>);

#[async_trait]
impl ArtifactStore for Stuck {
    async fn put_new(&self, key: &Key, bytes: Bytes, metadata: &Metadata) -> Result<Put, StoreError> {
        if key.is_record() {
            std::future::pending::<()>().await;
        }
        self.0.put_new(key, bytes, metadata).await
    }
    async fn get(&self, key: &Key) -> Result<Option<Artifact>, StoreError> {
        self.0.get(key).await
    }
    async fn exists(&self, key: &Key) -> Result<bool, StoreError> {
        self.0.exists(key).await
    }
    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Key, StoreError>>, StoreError> {
        self.0.list(prefix).await
    }
}

/// How long after the first browser was closed the next one had the item open.
fn rebuilt_after(rig: &Rig) -> Option<Duration> {
    let events = rig.site.events();
    let closed = events.iter().position(|e| e.what == What::Closed)?;
    let again = events[closed..].iter().find(|e| matches!(e.what, What::Opened(..)))?;
    Some(again.at.saturating_sub(events[closed].at))
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_keeps_no_browser_waiting() {
    let mut rig = Rig::new();
    rig.config.abandonment.rebuilds = 1000;
    held(&rig).await;
    let store = Arc::new(Stuck(rig.store.clone()));
    let bot = start(&rig, PostMortems::default(), store, Arc::new(rig.site.clone()));
    until_opened(&rig, 1).await;
    kill_until(&rig, &bot, "busy").await;
    assert_eq!(bot.counted("busy"), 1, "two wait for the store, and the third is left out");
    assert!(rebuilt_after(&rig).unwrap() < secs(1), "{:?}", rebuilt_after(&rig));
    until("given up", || bot.counted("failed") == 2).await;
    kill_browser(&rig).await;
    let ending = Instant::now();
    assert_eq!(bot.drain().await, BotExit::Drained);
    assert!(ending.elapsed() < secs(5), "{:?}", ending.elapsed());
}

/// Makes browsers that never give a picture.
#[derive(Debug)]
struct Shy(Arc<dyn BrowserFactory>);

struct ShyBrowser(Box<dyn SiteBrowser>);

#[async_trait]
impl BrowserFactory for Shy {
    async fn bot_browser(&self, slot: u32) -> Result<Box<dyn SiteBrowser>, StepError> {
        Ok(Box::new(ShyBrowser(self.0.bot_browser(slot).await?)))
    }
    async fn list_page(&self) -> Result<Box<dyn ListPage>, StepError> {
        self.0.list_page().await
    }
}

#[async_trait]
impl SiteBrowser for ShyBrowser {
    async fn open(&mut self, item: &Item, placement: Placement) -> Result<(), StepError> {
        self.0.open(item, placement).await
    }
    async fn probe(&mut self) -> Result<Probe, StepError> {
        self.0.probe().await
    }
    async fn take(&mut self, item: &ItemId) -> Result<Bytes, StepError> {
        self.0.take(item).await
    }
    async fn leave(&mut self, item: &ItemId) -> Result<(), StepError> {
        self.0.leave(item).await
    }
    async fn reload(&mut self) -> Result<(), StepError> {
        self.0.reload().await
    }
    async fn round_trip(&mut self) -> Result<Duration, StepError> {
        self.0.round_trip().await
    }
    async fn evidence(&mut self, _: Option<&ItemId>) -> Evidence {
        std::future::pending().await
    }
    async fn memory(&mut self) -> Option<u64> {
        self.0.memory().await
    }
    fn process_id(&self) -> Option<u32> {
        self.0.process_id()
    }
    async fn close(self: Box<Self>) {
        self.0.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_never_gives_its_picture_is_waited_for_a_second() {
    let mut rig = Rig::new();
    rig.config.abandonment.item_failures = 1;
    let item = rig.site.add("a", Life::lasting(secs(5)));
    rig.site.mishap(Step::Take, &item.id, Mishap::Fails(Fault::NotFound), 1);
    rig.publish(std::slice::from_ref(&item)).await;
    let factory = Arc::new(Shy(Arc::new(rig.site.clone())));
    let bot = start(&rig, PostMortems::default(), rig.store.clone(), factory);
    until("abandoned", || rig.totals().browsers_abandoned == 1).await;
    let failed = Instant::now();
    until("another browser", || rig.site.events().iter().filter(|e| e.what == What::Started).count() == 2)
        .await;
    assert!(failed.elapsed() < Duration::from_millis(1500), "{:?}", failed.elapsed());
    until("written", || bot.counted("written") == 1).await;
    let found = read(&rig).await.remove(0);
    assert!(found["noScreenshot"].as_str().unwrap().contains("1s"), "{found}");
    bot.drain().await;
}
