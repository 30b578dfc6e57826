//! One fault each: every item stays accounted for, and the time to recover is said.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use scrapefleet_local_tests::{
    Fleet, Scrape,
    processes::{self, Kind},
    rooms::{Room, Rooms},
    say,
    truth::{self, Before},
};
use scrapefleet_test_site::{Client, Fault, ShowdownSite};
use serde_json::Value;
use tokio::time::Instant;

/// Whether the list showed everything: a battle that begins and ends while the list is away is nowhere to be seen.
#[derive(Debug, Clone, Copy)]
enum List {
    WasThere,
    WasAway,
}

/// A site with battles, a fleet and a run that holds some of them.
struct Scene {
    site: ShowdownSite,
    fleet: Fleet,
    run: Scrape,
    before: Before,
}

impl Scene {
    async fn set(client: Client) -> Result<Self> {
        let site = ShowdownSite::builder()
            .players(6)
            .choice_every(Duration::from_millis(900))
            .client(client)
            .start()
            .await?;
        let fleet = Fleet::showdown(&site.url(), "")?;
        let before = Before::rest(&site).await?;
        let run = Scrape::start(&fleet).await?;
        run.until("watching", Duration::from_mins(1), |s| s["watcher"]["state"] == "watching").await?;
        site.resume_players().await?;
        let scene = Self { site, fleet, run, before };
        scene.holding().await?;
        Ok(scene)
    }

    /// Waits until battles are open and watched.
    async fn holding(&self) -> Result<Value> {
        self.run.until("holding three battles", Duration::from_mins(1), |s| open(s) >= 3).await
    }

    /// The process ids of the bot's driver and of what it started.
    async fn bot_processes(&self, kind: Kind) -> Result<Vec<u32>> {
        let status = self.run.status().await?;
        let root = browser(&status).context("no browser")?;
        let mut found = processes::of_kind(u32::try_from(root)?, kind)?;
        if kind == Kind::Driver && found.is_empty() {
            found.push(u32::try_from(root)?);
        }
        ensure!(!found.is_empty(), "no {kind:?} under {root}");
        Ok(found)
    }

    /// Does `harm`, waits until the browser was abandoned and battles are held again, and says how long that took.
    async fn recovers_from(&self, what: &str, harm: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        let before = self.run.status().await?;
        let begun = Instant::now();
        harm(self).await?;
        self.run.until("noticed", Duration::from_secs(30), |s| abandoned(s) > abandoned(&before)).await?;
        let noticed = begun.elapsed();
        let again = |s: &Value| browser(s).is_some() && browser(s) != browser(&before) && open(s) >= 3;
        self.run.until("holding again in another browser", Duration::from_mins(1), again).await?;
        say(&format!("{what}: noticed after {noticed:.1?}, holding again after {:.1?}", begun.elapsed()));
        Ok(())
    }

    /// Lets the battles end and checks that each of them is accounted for and equal to the server's own.
    async fn ends_well(self, list: List) -> Result<()> {
        self.site.stop_players().await?;
        self.run.until_idle(Duration::from_secs(90)).await?;
        ensure!(self.run.interrupt().await?.success());
        let ledger = self.fleet.balanced_ledger().await?;
        let logged = self.before.since(&self.site).await?;
        let compared = match list {
            List::WasThere => truth::check(&self.fleet, &logged).await?,
            List::WasAway => truth::check_stored(&self.fleet, logged).await?,
        };
        say(&format!("{compared} battles equal the server's own, ledger {ledger}"));
        ensure!(compared > 0 && ledger["dead"] == 0);
        self.site.stop().await
    }
}

fn open(status: &Value) -> usize {
    let bots = status["bots"].as_array().into_iter().flatten();
    bots.flat_map(|bot| bot["holds"].as_array().into_iter().flatten())
        .filter(|hold| hold["step"] == "open")
        .count()
}

fn browser(status: &Value) -> Option<u64> {
    status["bots"][0]["browser"]["processId"].as_u64()
}

fn abandoned(status: &Value) -> u64 {
    status["totals"]["browsersAbandoned"].as_u64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_killed_or_stopped_is_replaced() -> Result<()> {
    let scene = Scene::set(Client::Old).await?;
    scene
        .recovers_from("chrome killed", async |scene| {
            scene
                .bot_processes(Kind::Chrome)
                .await?
                .into_iter()
                .try_for_each(|id| processes::signal(id, Signal::KILL))
        })
        .await?;
    scene
        .recovers_from("chrome stopped", async |scene| {
            scene
                .bot_processes(Kind::Chrome)
                .await?
                .into_iter()
                .try_for_each(|id| processes::signal(id, Signal::STOP))
        })
        .await?;
    scene
        .recovers_from("renderers stopped", async |scene| {
            let renderers = scene.bot_processes(Kind::Renderer).await?;
            renderers.into_iter().try_for_each(|id| processes::signal(id, Signal::STOP))
        })
        .await?;
    scene
        .recovers_from("chromedriver killed", async |scene| {
            scene
                .bot_processes(Kind::Driver)
                .await?
                .into_iter()
                .try_for_each(|id| processes::signal(id, Signal::KILL))
        })
        .await?;
    scene.ends_well(List::WasThere).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_and_cut_connections_lose_nothing_that_the_server_kept() -> Result<()> {
    for client in [Client::Old, Client::New] {
        let scene = Scene::set(client).await?;
        let begun = Instant::now();
        scene.site.cut_connections().await?;
        scene
            .run
            .until("disconnected", Duration::from_secs(30), |s| s["bots"][0]["lastReason"].is_string())
            .await?;
        scene.holding().await?;
        say(&format!("{client:?}: connections cut, holding again after {:.1?}", begun.elapsed()));
        let restarted = Instant::now();
        scene.site.restart_server().await?;
        // Battles that were going on died with the server: the site no longer has them.
        scene
            .run
            .until("gone recorded", Duration::from_mins(2), |s| s["totals"]["gone"].as_u64() > Some(0))
            .await?;
        scene.holding().await?;
        say(&format!("{client:?}: server restarted, holding again after {:.1?}", restarted.elapsed()));
        scene.ends_well(List::WasAway).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_list_page_is_repaired_and_nothing_is_missed() -> Result<()> {
    for fault in [Fault::Dead, Fault::Unavailable, Fault::Stale, Fault::LoginWall] {
        let scene = Scene::set(Client::New).await?;
        scene.site.set_fault(fault).await?;
        scene.site.cut_connections().await?;
        let begun = Instant::now();
        scene
            .run
            .until("noticed", Duration::from_mins(1), |s| s["watcher"]["repairs"].as_u64() > Some(0))
            .await?;
        say(&format!("{fault:?}: noticed after {:.1?}", begun.elapsed()));
        scene.site.set_fault(Fault::None).await?;
        let mended = Instant::now();
        let refreshes = |s: &Value| s["watcher"]["state"] == "watching";
        scene.run.until("watching again", Duration::from_mins(1), refreshes).await?;
        scene.holding().await?;
        say(&format!("{fault:?}: watching and holding again {:.1?} after it was mended", mended.elapsed()));
        scene.ends_well(List::WasAway).await?;
    }
    Ok(())
}

/// Items that are held in one page, of which one is told to do harm.
const ROOMS: [&str; 4] = ["wild", "a", "b", "c"];

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_led_away_or_loops_is_replaced_with_all_that_was_in_it() -> Result<()> {
    let site = Rooms::start().await?;
    site.add_all(&ROOMS, Room::Waits);
    let fleet = Fleet::new(&site.manifest(""))?;
    let run = Scrape::start(&fleet).await?;
    let all_open =
        |s: &Value, times| open(s) == ROOMS.len() && ROOMS.iter().all(|id| site.entered(id) >= times);
    run.until("holding all", Duration::from_mins(1), |s| all_open(s, 1)).await?;

    let begun = Instant::now();
    site.add("wild", Room::LeadsAwayOnce);
    let away = |s: &Value| s["bots"][0]["lastReason"].as_str().is_some_and(|why| why.contains("/list"));
    run.until("noticed", Duration::from_secs(30), away).await?;
    let noticed = begun.elapsed();
    let led_away = run.until("holding all again", Duration::from_mins(1), |s| all_open(s, 2)).await?;
    say(&format!("page led away: noticed after {noticed:.1?}, holding again after {:.1?}", begun.elapsed()));
    ensure!(abandoned(&led_away) == 0, "its browser was well: {led_away:#}");

    let begun = Instant::now();
    site.add("wild", Room::LoopsOnce);
    run.until("noticed", Duration::from_secs(30), |s| abandoned(s) > 0).await?;
    let noticed = begun.elapsed();
    let again = |s: &Value| browser(s).is_some_and(|id| Some(id) != browser(&led_away)) && all_open(s, 3);
    run.until("holding all in another browser", Duration::from_mins(1), again).await?;
    say(&format!("endless loop: noticed after {noticed:.1?}, holding again after {:.1?}", begun.elapsed()));

    site.add_all(&ROOMS, Room::Lasts(0));
    run.until_idle(Duration::from_mins(1)).await?;
    ensure!(run.interrupt().await?.success());
    let ledger = fleet.balanced_ledger().await?;
    ensure!(ledger["stored"] == ROOMS.len() && ledger["dead"] == 0, "{ledger}");
    for (item, artifact) in truth::artifacts(&fleet).await? {
        ensure!(artifact.bytes == format!("the end of room-{item}"), "{item}: {:?}", artifact.bytes);
    }
    Ok(())
}
