//! One Chrome in which a recipe's plan is carried out, window by window.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use scrapefleet_policy::Instant;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Notify;
use url::Url;

use super::{
    answer::{Checked, Ready, inside},
    factory::Shared,
    waits::Waits,
};
use crate::{
    Endpoint, Evidence, Fault, Step, StepError,
    driver::Driver,
    session::{Session, Under, Window},
};

/// The part of a call's time that a page waits before it answers that it is not done yet.
const SLICE: f64 = 0.25;

/// The longest time that a page waits before it does, whatever the time of a call: what it waits for is told then.
const LONGEST_SLICE: Duration = Duration::from_millis(500);

/// The part of a call's time after which there is doubt: longer than a page in health waits.
const DOUBT: f64 = 0.4;

/// How long each part of the evidence is waited for at most.
const EVIDENCE: Duration = Duration::from_secs(3);

/// One Chrome and the window it started with.
pub(super) struct Runner {
    pub(super) shared: Arc<Shared>,
    pub(super) session: Session,
    /// The window that stays open: the page items share, the list, or an empty page beside tabs.
    pub(super) home: Window,
    /// Notified when an answer is overdue.
    pub(super) doubt: Arc<Notify>,
    /// What an order that goes on waits for.
    pub(super) waits: Waits,
    driver: Driver,
    loads: u64,
}

impl Runner {
    /// Starts a Chrome, with the prelude in place, and checks the recipe's scripts and selectors in it.
    pub(super) async fn start(shared: Arc<Shared>, name: &str) -> Result<Self, StepError> {
        let settings = &shared.settings;
        if let Endpoint::Remote { driver, .. } = &settings.endpoint
            && shared.take_strays()
        {
            Session::end_left_over(driver).await;
        }
        let under = Under::limit(Step::Launch, settings.deadlines.launch);
        let driver = Driver::start(&settings.endpoint, name, under.left()).await?;
        let started = Session::start(&driver, under).await;
        let mut session = started.inspect_err(|_| shared.leave_stray())?;
        let home = session.first_window(under).await?;
        let (doubt, waits) = (Arc::default(), Waits::new());
        let mut runner = Self { shared, session, home, doubt, waits, driver, loads: 0 };
        runner.check(under).await?;
        runner.prepare(under).await?;
        // Only now: a Chrome that starts on a busy machine may take longer than a page.
        let deadlines = runner.shared.settings.deadlines;
        let (script, load) = (deadlines.step.hard, deadlines.page_load());
        runner.session.set_limits(under, script, load, deadlines.unresponsive).await?;
        Ok(runner)
    }

    async fn check(&mut self, under: Under) -> Result<(), StepError> {
        let order = self.shared.plan.check(&self.shared.settings.recipe);
        let checked: Checked = self.evaluate(under, include_str!("../page.js"), order).await?;
        let Some(first) = checked.wrong.first() else { return Ok(()) };
        let all =
            checked.wrong.iter().map(|wrong| format!("{}: {}", wrong.name, wrong.why)).collect::<Vec<_>>();
        Err(under.error(Fault::Script, &all.join("; ")).selector(&first.name))
    }

    /// Puts in place what runs in every document of the current window, and refuses its downloads.
    async fn prepare(&mut self, under: Under) -> Result<(), StepError> {
        let shared = Arc::clone(&self.shared);
        for source in &shared.plan.prelude {
            let params = json!({ "source": source });
            self.session.devtools(under, "Page.addScriptToEvaluateOnNewDocument", params).await?;
        }
        let params = json!({ "behavior": "deny" });
        self.session.devtools(under, "Browser.setDownloadBehavior", params).await.map(drop)
    }

    /// Opens a tab with the prelude in place.
    pub(super) async fn new_tab(&mut self, under: Under) -> Result<Window, StepError> {
        // The driver refuses while the window it looked at last is closed.
        let home = self.home.clone();
        self.session.switch(under, &home).await?;
        let window = self.session.new_tab(under).await?;
        self.prepare(under).await?;
        Ok(window)
    }

    /// A mark for the next document.
    pub(super) fn next_mark(&mut self) -> u64 {
        self.loads += 1;
        self.loads
    }

    /// Loads a page into `window`.
    pub(super) async fn load(&mut self, under: Under, window: &Window, url: &Url) -> Result<(), StepError> {
        self.session.switch(under, window).await.map_err(|e| e.at(url.as_str()))?;
        let Err(error) = self.session.load(under, url.as_str()).await else { return Ok(()) };
        if error.fault != Fault::Timeout || under.left().is_zero() {
            return Err(error);
        }
        // The driver gave up waiting. Who is it that does not answer, the site or the page's own script?
        match self.echo(under, window).await {
            Ok(_) => Err(StepError { fault: Fault::SiteUnreachable, ..error }),
            Err(_) => Err(error),
        }
    }

    /// Carries out a task of the plan in `window`.
    pub(super) async fn run<T: DeserializeOwned>(
        &mut self,
        under: Under,
        window: &Window,
        order: Value,
    ) -> Result<T, StepError> {
        self.session.switch(under, window).await?;
        let shared = Arc::clone(&self.shared);
        self.evaluate(under, &shared.plan.script, order).await
    }

    async fn evaluate<T: DeserializeOwned>(
        &mut self,
        under: Under,
        script: &str,
        order: Value,
    ) -> Result<T, StepError> {
        let answer = self.call(under, script, order).await?;
        serde_json::from_value(answer)
            .map_err(|e| under.error(Fault::Unusable, &format!("the page's answer cannot be read: {e}")))
    }

    /// Has a page carry out an order, in calls that are each as short as a round trip, so that a page that stops
    /// answering is noticed by the next of them, and says between them what it waits for.
    async fn call(&mut self, under: Under, script: &str, order: Value) -> Result<Value, StepError> {
        self.waits.over();
        let answer = self.calls(under, script, order).await;
        self.waits.over();
        answer
    }

    /// The calls of one order. When its document goes away meanwhile, the next begins anew.
    async fn calls(&mut self, under: Under, script: &str, mut order: Value) -> Result<Value, StepError> {
        let longest = self.longest_call(under);
        let slice = inside(longest.mul_f64(SLICE).min(LONGEST_SLICE));
        loop {
            let call = self.next_mark();
            order["call"] = json!(call);
            order["slice"] = json!(slice);
            order["limit"] = json!(inside(under.left()));
            let mut answer = self.ask(under, longest, script, order.clone()).await?;
            while answer["pending"] == true {
                self.waits.tell(under, &self.shared.plan.list, &answer["waits"]);
                let again = json!({ "task": "resume", "call": call, "slice": slice });
                answer = self.ask(under, longest, script, again).await?;
            }
            if answer["lost"] != true {
                return Ok(answer["value"].take());
            }
        }
    }

    /// One call, with a word to whoever listens when its answer is overdue.
    async fn ask(
        &mut self,
        under: Under,
        longest: Duration,
        script: &str,
        order: Value,
    ) -> Result<Value, StepError> {
        let mut answer = pin!(self.session.script(under.at_most(longest), script, order));
        tokio::select! {
            answer = &mut answer => return answer,
            () = tokio::time::sleep(longest.mul_f64(DOUBT)) => self.doubt.notify_waiters(),
        }
        answer.await
    }

    /// How long one call may take. A Chrome that starts and a page that loads may be busy for longer than one that
    /// works may.
    fn longest_call(&self, under: Under) -> Duration {
        match under.step {
            Step::Launch | Step::Load => under.left(),
            _ => self.shared.settings.deadlines.unresponsive,
        }
    }

    /// Loads a page that all items share (or the list) into the home window and checks that it is one.
    pub(super) async fn load_home(&mut self, under: Under, url: &Url) -> Result<(), StepError> {
        let home = self.home.clone();
        self.load(under, &home, url).await?;
        Ok(())
    }

    /// Waits until the page in the home window can take items, and marks it.
    pub(super) async fn await_ready(&mut self, under: Under, url: &Url, mark: u64) -> Result<(), StepError> {
        let plan = &self.shared.plan;
        let ready = plan.ready.clone();
        let order =
            json!({ "task": "ready", "token": mark, "ready": ready, "unavailable": plan.unavailable });
        let home = self.home.clone();
        let answer: Ready = self.run(under, &home, order).await.map_err(|e| e.at(url.as_str()))?;
        if answer.holds {
            return Ok(());
        }
        let sign = ready.as_ref().map(|sign| sign.name().to_owned()).unwrap_or_default();
        let error = match (answer.refuses, site_fault(answer.status, &answer.url)) {
            (Some(proof), _) => under.error(Fault::SiteRefuses, &proof),
            (None, Some((fault, why))) => under.error(fault, &why),
            (None, None) => under.error(Fault::NotFound, "the page is not ready").selector(&sign),
        };
        Err(error.at(&answer.url))
    }

    /// Has `window` evaluate a script; the only proof of life.
    pub(super) async fn echo(&mut self, under: Under, window: &Window) -> Result<Duration, StepError> {
        let began = Instant::now();
        let number = self.next_mark();
        let answer: u64 = self.run(under, window, json!({ "task": "echo", "number": number })).await?;
        if answer != number + 1 {
            return Err(under.error(Fault::Unusable, "the page answered something else than it was asked"));
        }
        Ok(began.elapsed())
    }

    /// Screenshot and HTML of `window`, as far as they can be had.
    pub(super) async fn evidence(&mut self, window: &Window) -> Evidence {
        self.evidence_under(Under::limit(Step::Probe, EVIDENCE * 2), window).await
    }

    /// The same within what is left of a step.
    pub(super) async fn evidence_under(&mut self, under: Under, window: &Window) -> Evidence {
        let bounds = self.shared.settings.bounds;
        let order = json!({ "task": "html", "longest": bounds.html });
        let text: Option<String> = self.run(under.at_most(EVIDENCE), window, order).await.ok();
        if text.is_none() {
            // A page that does not answer gives no picture either, and would be waited for again.
            return Evidence::default();
        }
        let picture = self.session.screenshot(under.at_most(EVIDENCE)).await.ok();
        Evidence {
            screenshot: picture.filter(|png| png.len() <= bounds.screenshot).map(Bytes::from),
            html: text.map(|text| bounded(text, bounds.html)),
        }
    }

    pub(super) fn process_id(&self) -> Option<u32> {
        self.driver.process_id()
    }

    /// Ends Chrome and waits until it is gone.
    pub(super) async fn close(mut self) {
        self.session.end().await;
        self.driver.close().await;
    }
}

/// What a page's HTTP status says of the site as a whole. None: nothing.
pub(super) fn site_fault(status: u16, url: &str) -> Option<(Fault, String)> {
    match status {
        _ if url.starts_with("chrome-error:") => {
            Some((Fault::SiteUnreachable, "Chrome shows an error page".to_owned()))
        }
        500.. => Some((Fault::SiteUnreachable, format!("HTTP {status}"))),
        401 | 403 | 407 | 429 => Some((Fault::SiteRefuses, format!("HTTP {status}"))),
        _ => None,
    }
}

/// `text` as bytes, cut at a character's border.
fn bounded(mut text: String, most: usize) -> Bytes {
    text.truncate(text.floor_char_boundary(most));
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_blames_the_site_only_where_it_speaks_of_the_site() {
        let fault = |status, url| site_fault(status, url).map(|(fault, _)| fault);
        for (status, expected) in [
            (200, None),
            (0, None),
            (304, None),
            (404, None),
            (410, None),
            (401, Some(Fault::SiteRefuses)),
            (403, Some(Fault::SiteRefuses)),
            (429, Some(Fault::SiteRefuses)),
            (500, Some(Fault::SiteUnreachable)),
            (503, Some(Fault::SiteUnreachable)),
        ] {
            assert_eq!(fault(status, "http://site/"), expected, "{status}");
        }
        assert_eq!(fault(0, "chrome-error://chromewebdata/"), Some(Fault::SiteUnreachable));
    }

    #[test]
    fn html_is_cut_between_characters() {
        assert_eq!(bounded("aöö".to_owned(), 4), "aö".as_bytes());
        assert_eq!(bounded("a".to_owned(), 4), "a".as_bytes());
    }
}
