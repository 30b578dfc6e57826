//! Harm to a bot's browser.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use rustix::process::Signal;
use scrapefleet_e2e::{
    Forward,
    processes::{self, Process},
};
use scrapefleet_policy::within;
use serde_json::{Value, json};

use super::{CALL_WITHIN, Ground};
use crate::{Scenario, effect::Fault};

/// The port of the WebDriver server inside a pod.
const DRIVER: u16 = 4444;
/// How long items that have a page of their own may last until all share one.
const SHARED_WITHIN: Duration = Duration::from_mins(4);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Ground<'_> {
    pub(super) async fn strike_browser(&mut self, scenario: Scenario) -> Result<Fault> {
        let (uid, name) = self.choose_bot()?;
        let pod = self.pod(&name).await?;
        let script = script(scenario);
        if script.is_some() || scenario == Scenario::HungRenderer {
            let page = Page::of(self, &name).await?;
            within(SHARED_WITHIN, "wait until all items share a page", page.is_alone()).await??;
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
