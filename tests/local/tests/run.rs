//! What a person does with a run: looks at its port, stops it, suspends it, and has what it left verified.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use scrapefleet_local_tests::{
    Fleet, Scrape,
    rooms::{Room, Rooms},
    say,
};
use serde_json::Value;
use tokio::time::Instant;

/// A run that has stored one item and holds another, which never ends. It drains by waiting for that.
struct Busy {
    site: Rooms,
    fleet: Fleet,
    run: Scrape,
}

impl Busy {
    async fn start() -> Result<Self> {
        let site = Rooms::start().await?;
        site.add("ends", Room::Lasts(0));
        site.add("waits", Room::Waits);
        let fleet = Fleet::new(&site.manifest("  drain: { mode: Finish, deadline: 10m }\n"))?;
        let run = Scrape::start(&fleet).await?;
        let busy = |s: &Value| s["totals"]["stored"] == 1 && only_hold(s)["step"] == "open";
        run.until("storing one and holding one", Duration::from_mins(1), busy).await?;
        Ok(Self { site, fleet, run })
    }

    /// The answer of one of its endpoints, which must have this code.
    async fn answer(&self, endpoint: &str, code: u16) -> Result<String> {
        let answer = self.run.get(endpoint).await?;
        let found = answer.status().as_u16();
        let text = answer.text().await?;
        ensure!(found == code, "{endpoint} answers {found}: {text}");
        Ok(text)
    }
}

/// The one item that is held; null when that is not one.
fn only_hold(status: &Value) -> &Value {
    match status["bots"][0]["holds"].as_array().map(Vec::as_slice) {
        Some([hold]) => hold,
        _ => &Value::Null,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_port_tells_what_it_does_and_a_second_interrupt_gives_back_at_once() -> Result<()> {
    let busy = Busy::start().await?;
    shows_status(&busy).await?;
    shows_metrics(&busy).await?;
    for (endpoint, parts) in
        [("livez", &["run"][..]), ("readyz", &["bots", "watcher"]), ("progressz", &["list"])]
    {
        let lines: Vec<_> = parts.iter().map(|part| format!("[+]{part} ok\n")).collect();
        let answer = busy.answer(endpoint, 200).await?;
        ensure!(answer == lines.concat() + "ok\n", "{endpoint}: {answer}");
    }
    ensure!(busy.answer("nothing", 404).await?.contains("/status"));

    busy.run.signal(Signal::INT)?;
    let drains = |s: &Value| s["bots"][0]["state"] == "draining" && only_hold(s)["item"] == "waits";
    busy.run.until("draining", Duration::from_secs(30), drains).await?;
    let log = std::fs::read_to_string(busy.fleet.log())?;
    ensure!(log.contains("once more to give back at once"), "{log}");
    let begun = Instant::now();
    ensure!(busy.run.interrupt().await?.success());
    say(&format!("second interrupt: ended after {:.1?}", begun.elapsed()));

    let log = std::fs::read_to_string(busy.fleet.log())?;
    ensure!(log.contains("waiting up to 10m") && log.contains("giving back at once"), "{log}");
    let ledger = busy.fleet.balanced_ledger().await?;
    ensure!(ledger["stored"] == 1 && ledger["ready"] == 1 && ledger["held"] == 0, "{ledger}");
    Ok(())
}

async fn shows_status(busy: &Busy) -> Result<()> {
    let status = busy.run.status().await?;
    let hold = only_hold(&status);
    let url = format!("{}/room/waits", busy.site.url);
    ensure!(hold["item"] == "waits" && hold["url"] == url && hold["attempt"] == 1, "{status:#}");
    ensure!(
        status["bots"][0]["state"] == "working" && status["watcher"]["state"] == "watching",
        "{status:#}"
    );
    ensure!(status["watcher"]["discovered"] == 2 && status["depth"]["held"] == 1, "{status:#}");
    for signal in ["live", "ready", "progress"] {
        ensure!(status["health"][signal]["ok"] == true, "{signal}: {status:#}");
    }
    Ok(())
}

async fn shows_metrics(busy: &Busy) -> Result<()> {
    let answer = busy.run.get("metrics").await?;
    let kind = answer.headers().get("content-type").context("metrics have no type")?;
    ensure!(kind.to_str()?.starts_with("text/plain; version=0.0.4"), "{kind:?}");
    let text = answer.text().await?;
    for line in [
        r#"scrapefleet_worker_held{bot="0"} 1"#,
        r#"scrapefleet_worker_items_total{outcome="stored"} 1"#,
        "scrapefleet_watcher_discovered_total 2",
        "# HELP scrapefleet_worker_held Items held now.",
        "# TYPE scrapefleet_worker_hold_seconds histogram",
    ] {
        ensure!(text.lines().any(|found| found == line), "`{line}` is not in {text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_fleet_is_left_alone() -> Result<()> {
    let site = Rooms::start().await?;
    site.add("one", Room::Lasts(0));
    let fleet = Fleet::new(&site.manifest("  suspend: true\n"))?;
    // A Chrome that is looked for and not there is an error.
    let no_chrome = ["--port", "0", "--chrome", "/nowhere/chrome", "--chromedriver", "/nowhere/driver"];
    let output = fleet.output(&["run"], &no_chrome).await?;
    ensure!(output.code == Some(0) && output.stderr.contains("rooms is suspended"), "{output:?}");
    ensure!(!fleet.data().exists(), "a suspended fleet made a data folder");
    let output = fleet.output(&["run", "--set", "spec.suspend=false"], &no_chrome).await?;
    ensure!(output.code == Some(10), "it is suspended for good: {output:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_what_is_deleted_doubled_and_corrupted() -> Result<()> {
    let site = Rooms::start().await?;
    site.add_all(&["deleted", "doubled", "corrupted"], Room::Lasts(0));
    let fleet = Fleet::new(&site.manifest(""))?;
    let mut run = Scrape::start_with(&fleet, &["--until-stored", "3"]).await?;
    ensure!(run.ended(Duration::from_mins(1)).await?.success());
    ensure!(fleet.balanced_ledger().await?["stored"] == 3);
    let store = fleet.data().join("artifacts");

    std::fs::rename(store.join("deleted"), fleet.path("elsewhere"))?;
    verify_says(&fleet, &["lost: 1\n  deleted\n"]).await?;
    std::fs::rename(fleet.path("elsewhere"), store.join("deleted"))?;

    copy(&store, "doubled", "another")?;
    verify_says(&fleet, &["doubled: 1\n  doubled: ", "another"]).await?;
    std::fs::remove_file(store.join("another"))?;

    std::fs::write(store.join("corrupted"), "not what was stored")?;
    verify_says(&fleet, &["unreadable: 1\n  corrupted: ", "they were changed", "lost: 1\n  corrupted\n"])
        .await?;
    Ok(())
}

/// The ledger does not balance, and this is said of it.
async fn verify_says(fleet: &Fleet, says: &[&str]) -> Result<()> {
    let output = fleet.output(&["verify"], &[]).await?;
    ensure!(output.code == Some(1) && output.stderr.contains("does not balance"), "{output:?}");
    for words in says {
        ensure!(output.stdout.contains(words), "`{words}` is not said: {}", output.stdout);
    }
    ensure!(fleet.ledger().await?["balanced"] == false);
    Ok(())
}

/// Copies an object of a directory store, with its metadata.
fn copy(store: &Path, from: &str, to: &str) -> Result<()> {
    std::fs::copy(store.join(from), store.join(to))?;
    let metadata = store.join(".metadata");
    std::fs::create_dir(metadata.join(to))?;
    for file in std::fs::read_dir(metadata.join(from))? {
        let file = file?;
        std::fs::copy(file.path(), metadata.join(to).join(file.file_name()))?;
    }
    Ok(())
}
