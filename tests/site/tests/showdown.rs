//! The site itself: what the others build on.

mod chrome;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrome::Chrome;
use scrapefleet_test_site::{Client, Fault, GroundTruth, ShowdownSite, showdown::Builder};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::Instant,
};

/// How long things may take that take a second or two on an idle machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn quick() -> Builder {
    ShowdownSite::builder().players(2).choice_every(Duration::from_millis(20)).seed(7)
}

/// Asks again and again until the answer is yes.
async fn until<F: Future<Output = Result<bool>>>(what: &str, mut yes: impl FnMut() -> F) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !yes().await? {
        ensure!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn twelve_pairs_play_and_the_server_logs_it() -> Result<()> {
    let formats = ["gen9randombattle", "gen8randombattle", "gen9randomdoublesbattle"];
    let site = ShowdownSite::builder()
        .players(12)
        .choice_every(Duration::from_millis(20))
        .formats(&formats)
        .private_share(0.3)
        .start()
        .await?;
    until("24 battles", || async { Ok(site.battles_logged().await?.len() >= 24) }).await?;
    site.stop_players().await?;

    let counts = site.player_counts().await?;
    ensure!((counts.idle, counts.playing, counts.searching) == (24, 0, 0), "{counts:?}");
    let battles = site.battles_logged().await?;
    for format in formats {
        ensure!(battles.iter().any(|battle| battle.format == format), "no battle of {format}");
    }
    ensure!(battles.iter().any(GroundTruth::is_private), "no private battle");
    ensure!(battles.iter().any(|battle| battle.end_type == "forfeit"), "no battle was given up");
    for battle in &battles {
        let ends = battle.log.iter().filter(|line| line.starts_with("|win|") || *line == "|tie").count();
        ensure!(ends == 1, "{}: {ends} ends", battle.id);
        let turns = battle.log.iter().filter(|line| line.starts_with("|turn|")).count();
        ensure!(
            turns == battle.turns as usize,
            "{}: {turns} turns in the log, {} said",
            battle.id,
            battle.turns
        );
    }
    site.stop().await
}

/// First line of what a site answers to a request for its list; none when it does not answer.
async fn first_line(url: &str) -> Result<Option<String>> {
    let mut connection = BufReader::new(TcpStream::connect(url.trim_start_matches("http://")).await?);
    connection.write_all(b"GET /battles HTTP/1.1\r\nhost: site\r\nconnection: close\r\n\r\n").await?;
    let mut line = String::new();
    tokio::select! {
        read = connection.read_line(&mut line) => read.map(|_| Some(line.trim_end().to_owned())).map_err(Into::into),
        () = tokio::time::sleep(Duration::from_millis(300)) => Ok(None),
    }
}

async fn list_shows_battles(client: Client) -> Result<()> {
    let site =
        quick().choice_every(Duration::from_millis(500)).private_share(0.0).client(client).start().await?;
    until("four players in battles", || async { Ok(site.player_counts().await?.playing == 4) }).await?;
    let chrome = Chrome::start().await?;
    let list = format!("{}/battles", site.url());
    chrome.shows(&list, "id=\"room-battles\"").await?;
    chrome.shows(&list, "href=\"/battle-gen9randombattle-").await?;
    chrome.stop().await?;
    ensure!(site.uploads().await? == 0);
    site.stop().await
}

#[tokio::test]
async fn older_client_lists_battles() -> Result<()> {
    list_shows_battles(Client::Old).await
}

#[tokio::test]
async fn newer_client_lists_battles() -> Result<()> {
    list_shows_battles(Client::New).await
}

#[tokio::test]
async fn every_fault_shows() -> Result<()> {
    let site = quick().players(0).start().await?;
    let chrome = Chrome::start().await?;
    let battles = format!("{}/battles", site.url());
    let status = async || first_line(&site.url()).await;

    ensure!(status().await?.as_deref() == Some("HTTP/1.1 200 OK"));
    chrome.shows(&battles, "No  battles are going on right now.").await?;
    site.set_fault(Fault::Unavailable).await?;
    ensure!(status().await?.as_deref() == Some("HTTP/1.1 503 Service Unavailable"));
    site.set_fault(Fault::Dead).await?;
    ensure!(status().await?.is_none(), "a dead site answered");
    site.set_fault(Fault::Empty).await?;
    chrome.shows(&battles, "<title>Showdown!</title></head><body></body>").await?;
    site.set_fault(Fault::LoginWall).await?;
    chrome.shows(&battles, "name=\"username\"").await?;
    site.set_fault(Fault::Overload).await?;
    chrome.shows(&battles, "PS is under heavy load").await?;
    site.set_fault(Fault::Offline).await?;
    chrome.shows(&battles, "Couldn't connect to server!").await?;
    site.set_fault(Fault::Stale).await?;
    chrome.shows(&battles, "Loading...").await?;
    site.set_fault(Fault::None).await?;
    chrome.shows(&battles, "No  battles are going on right now.").await?;
    chrome.stop().await?;
    site.stop().await
}

#[tokio::test]
async fn server_restarts_with_its_logs_and_players_return() -> Result<()> {
    let site = quick().start().await?;
    until("a battle", || async { Ok(!site.battles_logged().await?.is_empty()) }).await?;
    let before = site.battles_logged().await?.len();
    site.stop_server().await?;
    until("players to notice", || async { Ok(site.player_counts().await?.offline == 4) }).await?;
    site.start_server().await?;
    until("another battle", || async { Ok(site.battles_logged().await?.len() > before) }).await?;
    ensure!(site.status().await?.starts == 2);
    site.stop().await
}

#[tokio::test]
async fn nothing_stays_behind() -> Result<()> {
    let site = quick().start().await?;
    let processes = site.process_ids().await?;
    let folder = site.folder().to_owned();
    ensure!(processes.len() == 2 && folder.join("server.log").exists());
    drop(site);
    until("everything to be gone", || async { Ok(!processes.iter().any(|&id| is_running(id))) }).await?;
    Ok(())
}

#[tokio::test]
async fn server_dies_with_the_script_that_started_it() -> Result<()> {
    let site = quick().start().await?;
    let processes = site.process_ids().await?;
    // As if the script had crashed: nothing of it can run any more.
    let script = rustix::process::Pid::from_raw(processes[0].cast_signed()).context("no process")?;
    rustix::process::kill_process(script, rustix::process::Signal::KILL)?;
    until("the server to end", || async { Ok(!is_running(processes[1])) }).await
}

/// A process that has ended and was not waited for does not run.
fn is_running(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
        !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
    })
}

#[tokio::test]
async fn bad_arguments_are_named() -> Result<()> {
    let error = quick().private_share(1.5).start().await.expect_err("a share of 1.5 was taken");
    let text = format!("{error:#}");
    ensure!(text.contains("--private-share: found 1.5, allowed: a number from 0 to 1"), "{text}");
    Ok(())
}
