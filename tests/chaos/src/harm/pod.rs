//! Harm to a bot: its process, its memory, its pod, or each browser that it builds.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{DeleteParams, ListParams};
use rustix::process::Signal;
use scrapefleet_e2e::processes;
use scrapefleet_policy::within;

use super::{CALL_WITHIN, Ground, deadlock::Deadlock, repair::Repair};
use crate::{Scenario, effect::Fault};

/// The program of a bot and of a watcher.
pub(super) const PROGRAM: &str = "scrapefleet";
/// Its thread that watches all others.
const WATCHDOG: &str = "watchdog";
/// What it builds browsers with, in the other container.
const DRIVER: &str = "chromedriver";
/// How often that is looked for: a session takes several times as long to begin.
const AGAIN: Duration = Duration::from_millis(100);
/// How long a bot that gets no browser may go on.
const ENDS_WITHIN: Duration = Duration::from_mins(1);
/// What the operator says of such a bot, and how long it may take to.
const NOT_REBUILT: &str = "BrowserNotRebuilt";
const TOLD_WITHIN: Duration = Duration::from_secs(30);

impl Ground<'_> {
    pub(super) async fn strike_bot(&mut self, scenario: Scenario) -> Result<Fault> {
        if scenario == Scenario::UnbuildableBrowser {
            return self.kill_every_driver().await;
        }
        let (uid, name) = self.choose_bot()?;
        let pod = self.pod(&name).await?;
        let pods = self.space.api::<Pod>();
        let fault = self.fault(scenario, &[uid]);
        match scenario {
            Scenario::DeadBot => _ = processes::signal(&pod, PROGRAM, Signal::KILL)?,
            Scenario::HungBot => _ = processes::signal(&pod, PROGRAM, Signal::STOP)?,
            Scenario::BotOutOfMemory => {
                processes::run_out_of_memory(&processes::one(&pod, PROGRAM)?).await?;
            }
            Scenario::DeadlockedBot => {
                let deadlock = Deadlock::of(&processes::one(&pod, PROGRAM)?, WATCHDOG)?;
                self.repairs.owe(Repair::Unlock(deadlock));
            }
            Scenario::EvictedPod => self.evict(&name).await?,
            _ => {
                let how = DeleteParams::default();
                within(CALL_WITHIN, "delete a pod", pods.delete(&name, &how)).await??;
            }
        }
        Ok(fault)
    }

    /// Kills the WebDriver server of a bot each time that it is there, until the bot ends, and sees that it did for that.
    async fn kill_every_driver(&mut self) -> Result<Fault> {
        let (uid, name) = self.choose_bot()?;
        let pod = self.pod(&name).await?;
        let bot = processes::one(&pod, PROGRAM)?;
        let fault = self.fault(Scenario::UnbuildableBrowser, &[uid]);
        let killing = async {
            while processes::is_there(&bot) {
                for driver in processes::of_pod(&pod)?.iter().filter(|process| process.program == DRIVER) {
                    // It may have ended since it was found.
                    let _ = processes::send(driver, Signal::KILL);
                }
                tokio::time::sleep(AGAIN).await;
            }
            anyhow::Ok(())
        };
        within(ENDS_WITHIN, "the end of a bot that gets no browser", killing).await??;
        let events = self.space.api::<Event>();
        let is_told = async || {
            let events = events.list(&ListParams::default()).await?;
            let of_bot = |event: &&Event| event.message.as_deref().is_some_and(|note| note.contains(&name));
            let mut of_bot = events.iter().filter(of_bot);
            Ok(of_bot.any(|event| event.reason.as_deref() == Some(NOT_REBUILT)).then_some(()))
        };
        let what = format!("{name} is said to have ended because it could not rebuild its browser");
        self.space.until(&what, TOLD_WITHIN, is_told).await?;
        Ok(fault)
    }
}
