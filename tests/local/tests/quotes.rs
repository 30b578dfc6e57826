//! The example of an ordinary multi-page site, in tabs, and what becomes of a dead letter of it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use scrapefleet_local_tests::{Fleet, Scrape, truth};
use scrapefleet_test_site::quotes::Quotes;

const MANIFEST: &str = include_str!("../../../examples/quotes.yaml");
const QUOTES: usize = 12;

fn settings(site: &Quotes) -> Vec<String> {
    let url = format!("spec.site.url={}", site.url);
    [
        url.as_str(),
        "spec.politeness.connectionsPerMinute=600",
        "spec.policies.retry.attempts=2",
        "spec.policies.retry.initial=500ms",
    ]
    .iter()
    .flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()])
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_quote_is_stored_once() -> Result<()> {
    let mut site = Quotes::start().await?;
    // It is far from finished when it is removed.
    let gone = site.publish(500);
    site.go_on(Duration::from_secs(1), 4, QUOTES);
    let fleet = Fleet::new(MANIFEST)?;
    let settings = settings(&site);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let run = Scrape::start_with(&fleet, &settings).await?;
    let holds =
        |s: &serde_json::Value| s["bots"][0]["holds"].as_array().is_some_and(|holds| !holds.is_empty());
    run.until("holding", Duration::from_mins(1), holds).await?;
    site.remove(gone);
    let done = |s: &serde_json::Value| {
        let totals = &s["totals"];
        totals["stored"].as_u64() >= Some(QUOTES as u64 - 1) && totals["gone"].as_u64() >= Some(1)
    };
    run.until("done", Duration::from_mins(2), done).await?;
    ensure!(run.interrupt().await?.success());
    let ledger = fleet.balanced_ledger().await?;
    let stored = truth::artifacts(&fleet).await?;
    for (id, text) in site.published().into_iter().filter(|(id, _)| *id != gone) {
        let artifact = stored.get(&id.to_string()).with_context(|| format!("quote {id} is not stored"))?;
        ensure!(artifact.bytes == text, "quote {id}: {:?}", artifact.bytes);
    }
    println!("ledger {ledger}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_has_its_evidence_and_can_be_replayed() -> Result<()> {
    let site = Quotes::start().await?;
    // It ends without its last line, so the artifact is never what `completeWhen` wants: stored as partial. A page
    // that answers 500 fails its attempts while the site is otherwise well.
    let (failing, good) = (site.publish(2), site.publish(2));
    site.finish(good);
    site.fail(failing);
    let bad = failing.to_string();
    let fleet = Fleet::new(MANIFEST)?;
    let settings = settings(&site);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let run = Scrape::start_with(&fleet, &settings).await?;
    run.until("dead", Duration::from_mins(1), |s| s["totals"]["dead"] == 1 && s["totals"]["stored"] == 1)
        .await?;
    ensure!(run.interrupt().await?.success());

    let letters = fleet.dead_letters().await?;
    ensure!(letters.len() == 1 && letters[0]["item"].as_str() == Some(bad.as_str()), "{letters:?}");
    let list = fleet.output(&["dead", "list"], &[]).await?;
    ensure!(list.stdout.contains("OpenFailed") && list.stdout.contains("ATTEMPTS"), "{list:?}");
    let shown = fleet.output(&["dead", "show"], &[&bad]).await?;
    let evidence = |name: &str| {
        let path = shown.stdout.split_whitespace().find(|word| word.ends_with(name));
        let path = path.with_context(|| format!("no {name}: {shown:?}"))?;
        std::fs::read(path).with_context(|| path.to_owned())
    };
    ensure!(evidence("screenshot.png")?.starts_with(b"\x89PNG"), "the screenshot is no PNG");
    let page = String::from_utf8(evidence("page.html")?)?;
    ensure!(page.contains("Something went wrong"), "not the page that answered 500: {page}");

    let unknown = fleet.output(&["dead", "replay"], &["nothing"]).await?;
    ensure!(unknown.code != Some(0) && unknown.stderr.contains("nothing"), "{unknown:?}");
    let replayed = fleet.output(&["dead", "replay"], &["--all"]).await?;
    ensure!(replayed.code == Some(0), "{replayed:?}");
    let ledger = fleet.balanced_ledger().await?;
    ensure!(ledger["ready"] == 1 && ledger["dead"] == 0, "{ledger}");
    Ok(())
}
