//! A fleet at work, and faults done to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use scrapefleet_e2e::{Gate, Players, Scene, Space};
use scrapefleet_policy::within;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Scenario,
    books::Found,
    effect::{Fault, effect},
    harm::{Ground, NothingToStrike, Repairs},
    history::{History, Said},
    observer::{self, Observer},
    report::{Report, Skipped, figures},
    schedule,
};

/// How many bots the fleet has.
const BOTS: usize = 2;
/// Who plays: battles that last a few minutes, so that most outlast a fault.
const PLAYERS: Players = Players { pairs: 10, choice: Duration::from_millis(2_500) };
/// How long the fleet may take until all its bots hold something, at first and after a fault.
const SETTLES_WITHIN: Duration = Duration::from_mins(4);
/// How long it may take to finish when nobody plays any more.
const FINISHES_WITHIN: Duration = Duration::from_mins(6);
/// How long a single fault may take to do and to mend, beyond the time that it lasts.
const DONE_WITHIN: Duration = Duration::from_mins(10);
/// How many items are open, at the least, when a fault is done.
const OPEN: usize = 6;
/// How long the effect of a fault is waited for before the next is done; what was not seen by then is told in the report.
const SEEN_WITHIN: Duration = Duration::from_secs(90);

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Programme {
    /// These, one after the other; the next when all is well again.
    Each(Vec<Scenario>),
    /// These at these times after the beginning, or as soon after as all is well again, for so long. What cannot be done where
    /// pods are by then, or has no time left, is skipped.
    At(Vec<(Duration, Scenario)>, Duration),
}

/// What a run does, and how.
#[derive(Debug, Clone)]
pub struct Run {
    /// The faults.
    pub programme: Programme,
    /// The seed of whom they strike.
    pub seed: u64,
    /// Whether each lasts no longer than it has to.
    pub brief: bool,
}

/// Does it all, and reports. A `stop` ends the faults early; what was begun is mended and accounted for.
pub async fn run(
    space: &Space,
    Run { programme, seed, brief }: &Run,
    stop: &CancellationToken,
) -> Result<Report> {
    let began = observer::now();
    say("starting a site with players, and a fleet");
    let gate = Gate::start(space).await?;
    let spec = json!({
        "store": { "s3": { "endpoint": gate.url() } },
        "bots": { "min": BOTS, "max": BOTS, "holdsPerBot": 20, "probe": "1s" },
        "watcher": { "standby": true },
    });
    let scene = Scene::with(space, PLAYERS, &spec).await?;
    let observer = Observer::start(&scene.fleet);
    let mut ground = Ground {
        space,
        scene: &scene,
        gate: &gate,
        observer: &observer,
        rng: fastrand::Rng::with_seed(*seed),
        brief: *brief,
        repairs: Repairs::default(),
    };
    let mut done = Done::default();
    let faults = tokio::select! {
        outcome = do_all(&mut ground, programme, &mut done) => outcome,
        () = stop.cancelled() => Err(anyhow!("ended early")),
    };
    if let Err(error) = faults {
        done.failures.push(format!("{error:#}"));
    }
    ground.mend().await.context("what was harmed cannot be mended")?;
    say("no battle begins any more; the fleet finishes");
    let truth = scene.wind_down(FINISHES_WITHIN).await?;
    let found = Found::read(&scene, truth).await?;
    let history = observer.seen();
    let taken = found.taken();
    let struck = done.faults.iter().flat_map(|fault| fault.victims.keys().cloned()).collect();
    let effects: Vec<_> = done.faults.iter().map(|fault| effect(fault, &history, &taken, &struck)).collect();
    Ok(Report {
        began,
        seconds: observer::now().duration_since(began).as_secs_f64(),
        seed: *seed,
        figures: figures(&effects),
        faults: effects,
        skipped: done.skipped,
        books: found.books(&done.faults),
        failures: done.failures,
    })
}

#[derive(Debug, Default)]
struct Done {
    faults: Vec<Fault>,
    skipped: Vec<Skipped>,
    failures: Vec<String>,
}

async fn do_all(ground: &mut Ground<'_>, programme: &Programme, done: &mut Done) -> Result<()> {
    settle(ground).await?;
    match programme {
        Programme::Each(scenarios) => {
            for (number, scenario) in scenarios.iter().enumerate() {
                say(&format!(
                    "{} of {}: {} {}",
                    number + 1,
                    scenarios.len(),
                    scenario.name(),
                    scenario.does()
                ));
                if let Some(nothing) = Box::pin(inflict(ground, *scenario, done)).await? {
                    fail(done, format!("{}: {nothing}", scenario.name()));
                }
            }
        }
        Programme::At(faults, length) => at_times(ground, faults, *length, done).await?,
    }
    ensure!(!done.faults.is_empty(), "no fault was done");
    Ok(())
}

async fn at_times(
    ground: &mut Ground<'_>,
    faults: &[(Duration, Scenario)],
    length: Duration,
    done: &mut Done,
) -> Result<()> {
    let began = Instant::now();
    for (at, scenario) in faults {
        tokio::time::sleep_until(began + *at).await;
        let now = began.elapsed();
        if !schedule::is_time_left(now, *scenario, length) {
            let late = now.saturating_sub(*at).as_secs();
            skip(done, *scenario, format!("it would have begun {late} s late, and not have ended in time"));
            continue;
        }
        say(&format!("{:>4} s: {} {}", now.as_secs(), scenario.name(), scenario.does()));
        if let Some(nothing) = Box::pin(inflict(ground, *scenario, done)).await? {
            skip(done, *scenario, nothing);
        }
    }
    tokio::time::sleep_until(began + length).await;
    Ok(())
}

/// One fault, until all is well again; why there was nothing to do it to, if there was not. That it cannot be done for
/// another reason is a failure of the run; the next is done all the same.
async fn inflict(ground: &mut Ground<'_>, scenario: Scenario, done: &mut Done) -> Result<Option<String>> {
    let (began, before) = (Instant::now(), done.faults.len());
    let limit = DONE_WITHIN + ground.lasts(scenario);
    let inflicted = match Box::pin(within(limit, "a fault", ground.inflict(scenario))).await {
        Ok(inflicted) => inflicted,
        Err(expired) => Err(anyhow!("{}: {expired}", scenario.name())),
    };
    match inflicted {
        Ok(fault) => {
            done.faults.push(fault);
            see_effect(ground, done).await;
        }
        Err(error) => {
            if let Some(nothing) = error.downcast_ref::<NothingToStrike>() {
                return Ok(Some(nothing.to_string()));
            }
            fail(done, format!("{error:#}"));
            // It may be done in part.
            ground.mend().await.with_context(|| format!("mend {}", scenario.name()))?;
        }
    }
    settle(ground).await.with_context(|| format!("after {}", scenario.name()))?;
    if let Some(fault) = done.faults.get_mut(before) {
        fault.took = began.elapsed();
    }
    Ok(None)
}

fn skip(done: &mut Done, scenario: Scenario, why: String) {
    say(&format!("{} is skipped: {why}", scenario.name()));
    done.skipped.push(Skipped { scenario: scenario.name(), why });
}

/// Waits until all that is measured of the last fault has been seen.
async fn see_effect(ground: &Ground<'_>, done: &Done) {
    let Some(fault) = done.faults.last() else { return };
    let seen = || {
        let effect = effect(fault, &ground.observer.seen(), &BTreeMap::new(), &BTreeSet::new());
        effect.unseen.is_empty() && effect.forsaken.is_empty()
    };
    let seeing = async {
        while !seen() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    // An item that ended meanwhile is not held again: its artifact, read at the end, tells when it was taken.
    let _ = within(SEEN_WITHIN, "the effect of a fault", seeing).await;
}

fn fail(done: &mut Done, failure: String) {
    // What explains it can be long, and is in the report.
    say(failure.lines().next().unwrap_or_default());
    done.failures.push(failure);
}

/// Waits until every bot works and holds something open, and a watcher watches while another stands by.
async fn settle(ground: &Ground<'_>) -> Result<()> {
    let well = async || Ok(is_well(&ground.observer.seen()).then_some(()));
    ground.space.until("all bots hold items and a watcher watches", SETTLES_WITHIN, well).await?;
    let seen = ground.observer.seen();
    let held: Vec<_> =
        seen.live("bot").map(|(_, pod)| pod.last().map_or(0, |said| said.open().count())).collect();
    ensure!(!held.is_empty(), "there are no bots");
    say(&format!("all is well; items open in each bot: {held:?}"));
    Ok(())
}

fn is_well(history: &History) -> bool {
    let count = |role: &str, is: &dyn Fn(&Said) -> bool| {
        history.live(role).filter(|(_, pod)| pod.last().is_some_and(is)).count()
    };
    let working = count("bot", &|said| said.works() && said.open().next().is_some());
    let open: usize = history.live("bot").filter_map(|(_, pod)| Some(pod.last()?.open().count())).sum();
    let watching = count("watcher", &|said| said.active && said.state == "watching");
    let standing_by = count("watcher", &|said| !said.active && said.state == "standby");
    working >= BOTS && open >= OPEN && watching == 1 && standing_by >= 1
}

fn say(text: &str) {
    eprintln!("chaos: {text}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::history::{Hold, Look, PodRecord};

    #[test]
    fn all_is_well_only_with_every_bot_and_both_watchers() {
        let pod = |role: &str, said: Said| PodRecord {
            name: role.to_owned(),
            role: role.to_owned(),
            node: None,
            from: Timestamp::UNIX_EPOCH,
            ended: None,
            looks: vec![Look { at: Timestamp::UNIX_EPOCH, said: Some(Arc::new(said)) }],
        };
        let bot = || {
            let hold = Hold { item: "a".to_owned(), step: "open".to_owned(), still: 0 };
            let holds = vec![hold; OPEN / 2];
            pod("bot", Said { state: "working".to_owned(), holds, ..Said::default() })
        };
        let watcher =
            |state: &str, active| pod("watcher", Said { state: state.to_owned(), active, ..Said::default() });
        let all = [bot(), bot(), watcher("watching", true), watcher("standby", false)];
        let history = |without: usize| History {
            pods: all
                .iter()
                .enumerate()
                .filter(|(number, _)| *number != without)
                .map(|(number, pod)| (number.to_string(), pod.clone()))
                .collect(),
        };
        assert!(is_well(&history(usize::MAX)));
        assert!((0..4).all(|without| !is_well(&history(without))));
    }
}
