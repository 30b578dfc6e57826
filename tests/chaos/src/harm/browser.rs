//! Harm to a bot's browser.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use rustix::process::Signal;
use scrapefleet_e2e::{
    Forward,
    processes::{self, Process},
};
use scrapefleet_policy::within;
use serde_json::{Value, json};

use super::{CALL_WITHIN, Ground, NothingToStrike};
use crate::{Scenario, effect::Fault, history::Said, observer};

/// The port of the WebDriver server inside a pod.
const DRIVER: u16 = 4444;
/// How long items that have a page of their own may last until all share one.
const SHARED_WITHIN: Duration = Duration::from_mins(4);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How many items a bot holds, at the least, whose browser is struck: one that is alone in it is to blame for its end, and goes
/// to another bot.
const SHARING: usize = 2;
/// How many browsers it may have thrown away lately: one that loses five within five minutes ends, as it should.
const FEW: u64 = 2;
const LATELY: SignedDuration = SignedDuration::from_mins(5);
/// How long it may take until there is such a bot.
const SPARED_WITHIN: Duration = Duration::from_mins(5);

impl Ground<'_> {
    pub(super) async fn strike_browser(&mut self, scenario: Scenario) -> Result<Fault> {
        let (uid, name) = self.choose_browser().await?;
        let pod = self.pod(&name).await?;
        let script = script(scenario);
        if script.is_some() || scenario == Scenario::HungRenderer {
            let page = Page::of(self, &name).await?;
            let alone = within(SHARED_WITHIN, "wait until all items share a page", page.is_alone()).await;
            alone.map_err(|expired| NothingToStrike(expired.to_string()))??;
            if let Some(script) = script {
                let fault = self.fault(scenario, &[uid]);
                page.run(script).await?;
                return Ok(fault);
            }
        }
        let (target, signal) = target(scenario, &pod)?;
        let fault = self.fault(scenario, &[uid]);
        processes::send(&target, signal)?;
        Ok(fault)
    }

    /// A bot whose browser can be struck so that the bot itself holds all its items again, once there is one.
    async fn choose_browser(&mut self) -> Result<(String, String)> {
        let choosing = async {
            loop {
                let spared = self.spared_bots();
                if let Some(bot) = self.rng.choice(spared) {
                    return bot;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let chosen =
            within(SPARED_WITHIN, "wait for a bot with several items and few lost browsers", choosing);
        Ok(chosen.await.map_err(|expired| NothingToStrike(expired.to_string()))?)
    }

    fn spared_bots(&self) -> Vec<(String, String)> {
        let (seen, since) = (self.observer.seen(), observer::now() - LATELY);
        let spared = seen.live("bot").filter(|(_, pod)| {
            let shares = |said: &Said| said.works() && said.open().count() >= SHARING;
            pod.last().is_some_and(shares) && pod.abandoned_since(since) <= FEW
        });
        spared.map(|(uid, pod)| (uid.clone(), pod.name.clone())).collect()
    }
}

/// What the page is made to do, for ever.
const fn script(scenario: Scenario) -> Option<&'static str> {
    match scenario {
        Scenario::LoopingPage => Some("for (;;) {}"),
        // As far as the limit of the container.
        Scenario::OutOfMemory => Some(
            "const kept = []; for (;;) if (kept.length < 128) kept.push(new Uint8Array(1 << 26).fill(1));",
        ),
        _ => None,
    }
}

/// The process to harm, and how.
pub(super) fn target(scenario: Scenario, pod: &Pod) -> Result<(Process, Signal)> {
    let processes = processes::of_pod(pod)?;
    let chrome = |process: &&Process| process.command.contains("--user-data-dir=");
    let main = |process: &&Process| chrome(process) && !process.command.contains("--type=");
    let renderer = |process: &&Process| process.command.contains("--type=renderer");
    let all = processes.iter();
    let found = match scenario {
        Scenario::HungRenderer => all.filter(renderer).max_by_key(|process| process.pages),
        Scenario::DeadDriver => {
            all.filter(|process| process.program == "chromedriver").max_by_key(|p| p.pages)
        }
        // The newest: one that was thrown away may still be there, stopped, until its driver ends it.
        _ => all.filter(main).max_by_key(|process| process.started),
    };
    let signal = match scenario {
        Scenario::DeadChrome | Scenario::DeadDriver => Signal::KILL,
        _ => Signal::STOP,
    };
    let programs: Vec<_> = processes.iter().map(|process| &process.program).collect();
    let target = found.with_context(|| format!("not among the pod's processes: {programs:?}"))?;
    Ok((target.clone(), signal))
}

/// A bot's page, as its WebDriver server leads to it.
struct Page {
    forward: Forward,
    session: String,
    client: reqwest::Client,
}

impl Page {
    async fn of(ground: &Ground<'_>, pod: &str) -> Result<Self> {
        let forward = Forward::open(ground.space.api::<Pod>(), pod, DRIVER).await?;
        let client = reqwest::Client::builder().timeout(CALL_WITHIN).build()?;
        let url = format!("http://{}/sessions", forward.address());
        let sessions: Value = client.get(url).send().await?.json().await?;
        let newest = sessions["value"].as_array().and_then(|sessions| sessions.last());
        let session =
            newest.and_then(|session| session["id"].as_str()).context("the driver has no session")?;
        let session = session.to_owned();
        Ok(Self { forward, session, client })
    }

    /// Waits until there is no other page: items that are suspected have one of their own for a while.
    async fn is_alone(&self) -> Result<()> {
        let url = format!("http://{}/session/{}/window/handles", self.forward.address(), self.session);
        loop {
            let handles: Value = self.client.get(&url).send().await?.json().await?;
            if handles["value"].as_array().is_some_and(|handles| handles.len() == 1) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Has the page run a script a moment later: the driver answers when it has taken it.
    async fn run(&self, script: &str) -> Result<()> {
        let url = format!("http://{}/session/{}/execute/sync", self.forward.address(), self.session);
        let script = json!({ "script": format!("setTimeout(() => {{ {script} }}, 50)"), "args": [] });
        let status = self.client.post(url).json(&script).send().await?.status();
        ensure!(status.is_success(), "the driver answered {status}");
        Ok(())
    }
}
