//! A WebDriver session: one Chrome, commands one after the other, each under a deadline of its own.

use std::time::Duration;

use http::Method;
use scrapefleet_policy::{Instant, Timeout, within};
use serde_json::Value;
use thirtyfour::{
    Capabilities, TimeoutConfiguration, WebDriver,
    common::command::{Command, FormatRequestData},
    error::WebDriverResult,
};
use url::Url;

use crate::{
    Fault, OnSlow, Step, StepError,
    chrome::capabilities,
    classify::{classify, is_navigation},
    driver::Driver,
    driver_client::DriverClient,
    recipe::CLOSING,
    slow::SlowSteps,
};

/// A window (a tab) of Chrome, as the driver names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Window(String);

/// How long sessions that somebody else has left to a driver are given to end.
const LEFT_OVER: Duration = Duration::from_secs(10);

/// The part of the time in which a browser must answer after which Chrome itself is asked, and that it is given to say that
/// it is there: no page's script can keep it from that. Three of them are less than the whole.
const CHROME: f64 = 0.3;

/// How often in a row Chrome may leave that unanswered.
const SILENCES: u32 = 2;

/// How long a session's end is waited for: a Chrome that answers ends within this.
const ENDS: Duration = Duration::from_millis(500);

/// How long it may go on after that: a driver ends a Chrome that hangs only when it has given up what it was doing there.
const GIVEN_UP: Duration = Duration::from_mins(1);

/// What a command is for and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Under {
    /// The step that the command is part of.
    pub(crate) step: Step,
    /// When the step must have ended.
    pub(crate) deadline: Instant,
    /// When it began.
    pub(crate) began: Instant,
    /// When it is slow, if it ever is.
    slow: Option<Instant>,
}

impl Under {
    /// A step that begins now and may take so long.
    pub(crate) fn new(step: Step, timeout: Timeout) -> Self {
        let began = Instant::now();
        let slow = timeout.soft.map(|soft| began + soft);
        Self { step, began, deadline: began + timeout.hard, slow }
    }

    /// A step that begins now, may take `limit`, and is never called slow.
    pub(crate) fn limit(step: Step, limit: Duration) -> Self {
        Self::new(step, Timeout::hard(limit))
    }

    /// What is left of the time.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The same, and what is left until it is slow.
    fn timeout(&self) -> Timeout {
        let soft = self.slow.map(|slow| slow.saturating_duration_since(Instant::now()));
        Timeout { soft, hard: self.left() }
    }

    /// The same step with at most `limit` from now.
    pub(crate) fn at_most(self, limit: Duration) -> Self {
        Self { deadline: self.deadline.min(Instant::now() + limit), ..self }
    }

    /// A failure of this step.
    pub(crate) fn error(&self, fault: Fault, message: &str) -> StepError {
        StepError::new(self.step, fault, message).after(self.began.elapsed())
    }
}

/// One Chrome and its session.
#[derive(Debug)]
pub(crate) struct Session {
    driver: WebDriver,
    client: DriverClient,
    /// Where Chrome itself answers, beside its driver.
    side_door: Option<Url>,
    /// How long Chrome may be silent, once that is known.
    unresponsive: Option<Duration>,
    current: Option<Window>,
    slow: SlowSteps,
    /// Where the session is ended when it is dropped; none: whatever runs the driver ends that.
    ended_at: Option<Url>,
}

impl Session {
    /// Starts Chrome.
    pub(crate) async fn start(driver: &Driver, under: Under) -> Result<Self, StepError> {
        let client = DriverClient::new().map_err(|e| under.error(Fault::CannotStart, &e.to_string()))?;
        let capabilities = Capabilities::from(capabilities(&driver.launch));
        let session = WebDriver::builder(driver.url.as_str(), capabilities).client(client.clone()).connect();
        let ends_itself = driver.process_id().is_none();
        let driver = match within(under.left(), "start Chrome", session).await {
            Ok(Ok(driver)) => driver,
            Ok(Err(error)) => return Err(under.error(Fault::CannotStart, &classify(&error).1)),
            Err(late) => return Err(under.error(Fault::CannotStart, &late.to_string())),
        };
        let side_door = side_door(driver.capabilities());
        let ended_at = if ends_itself { session_url(&driver) } else { None };
        let (unresponsive, current, slow) = (None, None, SlowSteps::default());
        Ok(Self { driver, client, side_door, unresponsive, current, slow, ended_at })
    }

    /// Tells the driver when it gives up by itself: scripts after `script`, pages that do not load after `page_load`. From
    /// now on Chrome itself is given up when it is silent for `unresponsive`, whatever the command.
    pub(crate) async fn set_limits(
        &mut self,
        under: Under,
        script: Duration,
        page_load: Duration,
        unresponsive: Duration,
    ) -> Result<(), StepError> {
        self.unresponsive = Some(unresponsive);
        let timeouts = TimeoutConfiguration::new(Some(script), Some(page_load), Some(Duration::ZERO));
        self.command(under, Command::SetTimeouts(timeouts)).await.map(drop)
    }

    /// Ends the sessions that a driver still has, so that at most one Chrome runs there.
    pub(crate) async fn end_left_over(driver: &Url) {
        let ended = within(LEFT_OVER, "end left-over sessions", end_sessions(driver)).await;
        if let Err(why) = ended.map_err(|late| late.to_string()).and_then(|ended| ended) {
            tracing::warn!(%driver, %why, "left-over sessions were not ended");
        }
    }

    /// Runs one command under the step's deadline.
    pub(crate) async fn command(
        &mut self,
        under: Under,
        command: impl FormatRequestData,
    ) -> Result<Value, StepError> {
        let answer = async { self.driver.cmd(command).await?.value_json() };
        self.bounded(under, answer).await
    }

    async fn bounded<T>(
        &self,
        under: Under,
        answer: impl Future<Output = WebDriverResult<T>>,
    ) -> Result<T, StepError> {
        let timeout = under.timeout();
        let slow = |_, _| self.slow.is_slow(under.step, under.began);
        let answer = async {
            tokio::select! {
                answer = timeout.watch("command", answer, slow) => Ok(answer),
                () = self.silence() => Err(under.error(Fault::BrowserGone, "Chrome itself does not answer")),
            }
        };
        match answer.await? {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let (fault, message) = classify(&error);
                Err(under.error(fault, &message))
            }
            Err(_) => Err(under.error(Fault::Timeout, "the browser does not answer")),
        }
    }

    /// Tells `observer` of slow steps.
    pub(crate) fn on_slow(&mut self, observer: OnSlow) {
        self.slow.tell_to(observer);
    }

    /// The window that is open at the start.
    pub(crate) async fn first_window(&mut self, under: Under) -> Result<Window, StepError> {
        let handle = self.command(under, Command::GetWindowHandle).await?;
        let window = Window(handle.as_str().unwrap_or_default().to_owned());
        self.current = Some(window.clone());
        Ok(window)
    }

    /// Opens a tab, empty and current.
    pub(crate) async fn new_tab(&mut self, under: Under) -> Result<Window, StepError> {
        let made = self.command(under, Command::NewTab).await?;
        let window = Window(made["handle"].as_str().unwrap_or_default().to_owned());
        self.switch(under, &window).await?;
        Ok(window)
    }

    /// Makes the commands that follow act on `window`.
    pub(crate) async fn switch(&mut self, under: Under, window: &Window) -> Result<(), StepError> {
        if self.current.as_ref() == Some(window) {
            return Ok(());
        }
        self.current = None;
        self.command(under, Command::SwitchToWindow(window.0.as_str().into())).await?;
        self.current = Some(window.clone());
        Ok(())
    }

    /// Closes `window`; commands must switch to another.
    pub(crate) async fn close_tab(&mut self, under: Under, window: &Window) -> Result<(), StepError> {
        self.switch(under, window).await?;
        self.current = None;
        self.command(under, Command::CloseWindow).await.map(drop)
    }

    /// Closes `window` past the driver, which may be waiting for it: a tab whose script does not end is closed all
    /// the same. Answers whether Chrome said yes.
    pub(crate) async fn force_close(&mut self, window: &Window) -> bool {
        self.current = None;
        let Some(url) =
            self.side_door.as_ref().and_then(|door| door.join(&format!("json/close/{}", window.0)).ok())
        else {
            return false;
        };
        let closed = within(CLOSING, "close the tab", self.client.ask(Method::GET, url)).await;
        matches!(closed, Ok(Ok(_)))
    }

    /// Returns when Chrome itself, asked past its driver and all pages, has been silent for too long. Not where it cannot be
    /// asked, nor while it starts.
    async fn silence(&self) {
        let door = self.side_door.as_ref().and_then(|door| door.join("json/version").ok());
        let (Some(door), Some(unresponsive)) = (door, self.unresponsive) else {
            return std::future::pending().await;
        };
        let pause = unresponsive.mul_f64(CHROME);
        let mut silences = 0;
        while silences < SILENCES {
            if silences == 0 {
                tokio::time::sleep(pause).await;
            }
            let answer = within(pause, "ask Chrome", self.client.ask(Method::GET, door.clone())).await;
            silences = if matches!(answer, Ok(Ok(_))) { 0 } else { silences + 1 };
        }
    }

    /// All windows there are.
    pub(crate) async fn windows(&mut self, under: Under) -> Result<Vec<Window>, StepError> {
        let handles = self.command(under, Command::GetWindowHandles).await?;
        let handles = handles.as_array().cloned().unwrap_or_default();
        Ok(handles.into_iter().filter_map(|h| h.as_str().map(|h| Window(h.to_owned()))).collect())
    }

    /// Loads `url` in the current window, until its document is there.
    pub(crate) async fn load(&mut self, under: Under, url: &str) -> Result<(), StepError> {
        let loaded = self.command(under, Command::NavigateTo(url.into())).await;
        loaded.map(drop).map_err(|error| error.at(url))
    }

    /// Evaluates `script`, the body of a function (a promise is waited for), in the current window. When the
    /// document goes away meanwhile, it is evaluated again in the next.
    pub(crate) async fn script(
        &mut self,
        under: Under,
        script: &str,
        args: Value,
    ) -> Result<Value, StepError> {
        loop {
            let command = Command::ExecuteScript(script.into(), vec![args.clone()].into());
            match self.command(under, command).await {
                Err(error) if is_navigation(&error.message) && !under.left().is_zero() => {}
                other => return other,
            }
        }
    }

    /// Runs a command of the `DevTools` protocol on the current window.
    pub(crate) async fn devtools(
        &mut self,
        under: Under,
        method: &str,
        params: Value,
    ) -> Result<Value, StepError> {
        let answer = self.driver.cdp();
        self.bounded(under, answer.send_raw(method, params)).await
    }

    /// A PNG of the current window.
    pub(crate) async fn screenshot(&mut self, under: Under) -> Result<Vec<u8>, StepError> {
        self.bounded(under, self.driver.screenshot_as_png()).await
    }

    /// Ends the session, so that a driver that runs elsewhere ends its Chrome. Where that takes long it goes on by itself:
    /// nobody waits for a Chrome that hangs. Does nothing where the driver itself is ended.
    pub(crate) async fn end(&mut self) {
        if let Some(session) = self.ended_at.take() {
            let ending = tokio::spawn(end(self.client.clone(), session));
            if let Err(late) = within(ENDS, "end the session", ending).await {
                tracing::debug!(%late, "a browser's session ends by itself");
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The library would send a last command and block until it is answered, for minutes when Chrome hangs.
        let _ = self.driver.clone().leak();
        if let (Some(session), Ok(runtime)) = (self.ended_at.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(end(self.client.clone(), session));
        }
    }
}

/// Ends one session, within a bound.
async fn end(client: DriverClient, session: Url) {
    let ended = within(GIVEN_UP, "end the session", client.ask(Method::DELETE, session)).await;
    let why = match ended {
        Ok(Ok(_)) => return,
        Ok(Err(error)) => classify(&error).1,
        Err(late) => late.to_string(),
    };
    tracing::warn!(%why, "a browser's session was not ended");
}

fn session_url(driver: &WebDriver) -> Option<Url> {
    driver.server_url().join(&format!("session/{}", driver.session_id())).ok()
}

async fn end_sessions(driver: &Url) -> Result<(), String> {
    let client = DriverClient::new().map_err(|e| e.to_string())?;
    let at = |path: &str| driver.join(path).map_err(|e| e.to_string());
    let list = client.ask(Method::GET, at("sessions")?).await.map_err(|e| classify(&e).1)?;
    let list: Value = serde_json::from_slice(&list).map_err(|e| e.to_string())?;
    for id in list["value"].as_array().into_iter().flatten().filter_map(|session| session["id"].as_str()) {
        client.ask(Method::DELETE, at(&format!("session/{id}"))?).await.map_err(|e| classify(&e).1)?;
    }
    Ok(())
}

fn side_door(capabilities: &Capabilities) -> Option<Url> {
    let address = capabilities.get("goog:chromeOptions")?.get("debuggerAddress")?.as_str()?;
    // Chrome listens on IPv4 only; the name could lead to IPv6 first.
    Url::parse(&format!("http://{}/", address.replace("localhost", "127.0.0.1"))).ok()
}
