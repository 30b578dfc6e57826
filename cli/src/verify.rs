//! `scrapefleet verify`: reads the journal, the queue and the store, and accounts for every item.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use scrapefleet_api::{FleetName, ItemId};
use scrapefleet_queue::TaskQueue;
use scrapefleet_store::{ArtifactStore, Key};

use crate::{
    CliError,
    args::VerifyArgs,
    fleet::Fleet,
    ledger::{Findings, Ledger, Unreadable},
    terminal::table,
};

/// How many objects are read at once.
const READS: usize = 8;

/// How many items of each kind are listed for people; all are in the JSON.
const LISTED: usize = 50;

/// Prints the ledger; fails unless it balances.
pub async fn verify(args: &VerifyArgs) -> Result<(), CliError> {
    let fleet = Fleet::load(&args.fleet)?;
    let (queue, store) = (fleet.read_queue().await?, fleet.read_store().await?);
    let ledger = Ledger::of(find(&fleet.name, queue.shared().as_ref(), store.as_ref()).await?);
    if args.json {
        let mut json = serde_json::json!(ledger);
        json["balanced"] = ledger.balances().into();
        println!("{json:#}");
    } else {
        print(&ledger);
    }
    if ledger.balances() { Ok(()) } else { Err(CliError::Unbalanced) }
}

/// Reads everything that the ledger is made of.
pub async fn find(
    fleet: &FleetName,
    queue: &dyn TaskQueue,
    store: &dyn ArtifactStore,
) -> Result<Findings, CliError> {
    let mut findings = Findings::default();
    let mut journal = queue.journal().await?;
    while let Some(entry) = journal.next().await {
        match entry {
            Ok(entry) => _ = findings.discovered.insert(entry.id),
            Err(error) => findings.unreadable.push(unreadable("a journal entry", &error)),
        }
    }
    for (task, state) in queue.pending().await? {
        findings.pending.insert(task.id, state);
    }
    for letter in queue.dead_letters().await? {
        match letter.item {
            Some(item) => _ = findings.dead.insert(item),
            None => findings.unreadable.push(unreadable("a dead letter", &letter.failure.message)),
        }
    }
    read_store(fleet, store, &mut findings).await?;
    Ok(findings)
}

async fn read_store(
    fleet: &FleetName,
    store: &dyn ArtifactStore,
    findings: &mut Findings,
) -> Result<(), CliError> {
    let keys = store.list("").await?;
    let mut objects = keys
        .map_ok(|key| async move { (store.get(&key).await, key) })
        .map(|key| async move {
            match key {
                Ok(object) => Ok(object.await),
                Err(error) => Err(error),
            }
        })
        .buffer_unordered(READS);
    while let Some(object) = objects.next().await {
        match object {
            Ok((Ok(Some(artifact)), key)) if artifact.metadata.fleet == *fleet => {
                file(key, artifact.metadata.item, findings);
            }
            // Another fleet's, or gone since it was listed.
            Ok((Ok(_), _)) => {}
            Ok((Err(error), key)) => findings.unreadable.push(unreadable(key.as_str(), &error)),
            Err(error) => findings.unreadable.push(unreadable("the store", &error)),
        }
    }
    Ok(())
}

/// Files an object under what it is: an artifact, a record that an item is gone, or evidence, which counts for nothing.
fn file(key: Key, item: ItemId, findings: &mut Findings) {
    let first = key.parts().next().map(str::to_owned);
    match first.as_deref() {
        Some("_gone") => _ = findings.gone.insert(item),
        _ if key.is_record() => {}
        _ => findings.stored.entry(item).or_default().push(key),
    }
}

fn unreadable(what: &str, why: &dyn std::fmt::Display) -> Unreadable {
    Unreadable { what: what.to_owned(), why: why.to_string() }
}

fn print(ledger: &Ledger) {
    let counts: BTreeMap<usize, (&str, usize)> = [
        ("ready", ledger.ready),
        ("delayed", ledger.delayed),
        ("held", ledger.held),
        ("stored", ledger.stored),
        ("dead", ledger.dead),
        ("gone", ledger.gone),
    ]
    .into_iter()
    .enumerate()
    .collect();
    let mut rows = vec![vec!["discovered".to_owned(), format!("{:>8}", ledger.discovered)]];
    rows.extend(counts.values().map(|(name, count)| vec![format!("  {name}"), format!("{count:>8}")]));
    println!("{}", table(&rows));
    list("lost", &ledger.missing);
    list("never discovered", &ledger.unknown);
    list(
        "doubled",
        &ledger
            .doubled
            .iter()
            .map(|d| {
                let keys: Vec<_> = d.keys.iter().map(Key::as_str).collect();
                format!("{}: {}", d.item, keys.join(", "))
            })
            .collect::<Vec<_>>(),
    );
    list(
        "unreadable",
        &ledger.unreadable.iter().map(|u| format!("{}: {}", u.what, u.why)).collect::<Vec<_>>(),
    );
    if ledger.balances() {
        println!("the ledger balances: every discovered item is in exactly one place");
    }
}

fn list<T: std::fmt::Display>(title: &str, items: &[T]) {
    if items.is_empty() {
        return;
    }
    println!("{title}: {}", items.len());
    for item in items.iter().take(LISTED) {
        println!("  {item}");
    }
    if items.len() > LISTED {
        println!("  … and {} more; --json has all", items.len() - LISTED);
    }
}
