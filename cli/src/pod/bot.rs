//! One bot in a pod.

use std::sync::Arc;

use scrapefleet_policy::{Clock, SystemClock};
use scrapefleet_worker::{
    Bot, BotExit, BotStatus, Parts, PostMortems, Signals, Steps, Tally, WorkerMetrics, status::BotState,
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Duration, MissedTickBehavior, interval},
};

use super::{
    Ending, factory, no_thread,
    port::Port,
    share, signals,
    testament::Testament,
    watchdog::{Mark, Watchdog, steps_within},
};
use crate::{CliError, args::BotArgs, fleet::Fleet};

/// How often the pod shows what its bot is doing.
const LOOK: Duration = Duration::from_millis(250);

/// Works until told to stop or until there is no use in going on.
pub async fn bot(args: &BotArgs) -> Ending {
    let ending = work(args).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the bot cannot work");
        Ending::of_error(&error)
    });
    ending.leave_at(&args.pod.termination_log);
    ending
}

async fn work(args: &BotArgs) -> Result<Ending, CliError> {
    let signals = signals::listen()?;
    let fleet = Fleet::load(&args.pod.fleet)?;
    let (within, steps) = (steps_within(&fleet.spec), Steps::default());
    let port = Port::open("bot", args.pod.port, within).await?;
    let counted = steps.clone();
    let mark = Mark { what: "the bot's steps", within, count: Box::new(move || counted.finished()) };
    let mut config = fleet.bot_config(args.slot, fleet.spec.bots.max, fastrand::u64(..));
    let (status, seen) = watch::channel(BotStatus::starting(args.slot, config.holds));
    let post_mortems = PostMortems::of_this_process();
    let testament =
        Testament { fleet: fleet.clone(), shown: seen.clone(), post_mortems: post_mortems.clone() };
    let (marks, log) = (vec![port.runtime(), mark], args.pod.termination_log.clone());
    // Dropped last: ending in order is watched too.
    let _watchdog = Watchdog::over_process(marks, log, |stuck| testament.leave(&stuck))
        .map_err(|error| no_thread(&error))?;
    let factory = factory(&fleet, &args.pod)?;
    // Until its share is known, that of a bot in the largest fleet.
    let (sender, limit) = watch::channel(config.holds);
    if let Some(file) = args.pod.share.clone() {
        config.holds = fleet.holds(1);
        let factory = Arc::clone(&factory);
        tokio::spawn(async move { share::follow(&file, factory, Some(sender)).await });
    }
    // Both at once: what is wrong with either is told as soon as it is known.
    let (queue, store) = tokio::try_join!(fleet.open_queue(), fleet.open_store())?;
    let tally = Tally::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = WorkerMetrics::new(port.metrics()).map_err(|error| CliError::Machine(error.to_string()))?;
    let parts = Parts { factory, queue: queue.shared(), store, tally: tally.clone(), metrics, clock, status };
    let bot = Bot::new(config, parts).limited_to(limit).counted_by(steps.clone());
    let bot = bot.with_post_mortems(post_mortems);
    let exit = run(bot, signals, &steps, &seen, &tally, &port).await;
    let last = seen.borrow().last_reason.clone();
    // What was confirmed is on the broker; a connection that does not close in order is closed by the end of the process.
    if let Err(error) = queue.close().await {
        tracing::warn!(%error, "the queue was not closed in order");
    }
    port.close().await;
    Ok(Ending::of_bot(exit, last.as_deref(), tally.totals().stored))
}

/// Runs the bot and shows what it does.
async fn run(
    bot: Bot,
    signals: Signals,
    steps: &Steps,
    seen: &watch::Receiver<BotStatus>,
    tally: &Tally,
    port: &Port,
) -> BotExit {
    let mut finished = steps.finished();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = std::pin::pin!(bot.run(signals));
    loop {
        tokio::select! {
            exit = &mut running => return exit,
            _ = looks.tick() => {
                let now = steps.finished();
                if now != finished {
                    finished = now;
                    port.progress.made();
                }
                let status = seen.borrow().clone();
                port.show(shown(&status, tally), trouble(&status));
            }
        }
    }
}

/// The bot's own status with what it has done so far.
fn shown(status: &BotStatus, tally: &Tally) -> Value {
    let mut shown = json!(status);
    shown["totals"] = json!(tally.totals());
    shown
}

/// Why the bot cannot take work. Busy, full and draining are well.
fn trouble(status: &BotStatus) -> Option<String> {
    let because = |what: &str| {
        let why = status.last_reason.as_deref().unwrap_or("no reason given");
        Some(format!("{what}: {why}"))
    };
    match status.state {
        BotState::Working | BotState::Draining => None,
        BotState::Starting => Some("starting".to_owned()),
        BotState::Rebuilding => because("its browser is rebuilt"),
        BotState::SiteUnavailable => because("the site is unavailable"),
        BotState::StoreUnreachable => because("the store takes nothing"),
        BotState::Ended => Some("ended".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_full_and_draining_are_well() {
        let mut status = BotStatus::starting(3, 1);
        assert_eq!(trouble(&status).as_deref(), Some("starting"));
        for state in [BotState::Working, BotState::Draining] {
            status.state = state;
            assert_eq!(trouble(&status), None, "{state:?}");
        }
        status.last_reason = Some("HTTP 503".to_owned());
        status.state = BotState::SiteUnavailable;
        assert_eq!(trouble(&status).as_deref(), Some("the site is unavailable: HTTP 503"));
        status.state = BotState::StoreUnreachable;
        assert_eq!(trouble(&status).as_deref(), Some("the store takes nothing: HTTP 503"));
    }

    #[test]
    fn a_pod_shows_its_bot_and_what_it_did() {
        let shown = shown(&BotStatus::starting(3, 20), &Tally::default());
        assert_eq!(
            (&shown["slot"], &shown["capacity"], &shown["totals"]["stored"]),
            (&json!(3), &json!(20), &json!(0))
        );
    }
}
