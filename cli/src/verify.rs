//! `scrapefleet verify`: reads the journal, the queue and the store, and accounts for every item.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, future};
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
        .try_filter(|key| future::ready(is_accounted(key)))
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

/// Whether an object says where an item is. Evidence and post-mortems do not, and are not read: a damaged picture is no
/// lost item.
fn is_accounted(key: &Key) -> bool {
    !key.is_record() || matches!(key.parts().next(), Some("_gone" | "_purged"))
}

/// Files an object under what it is: an artifact, or a record that an item is gone or was purged.
fn file(key: Key, item: ItemId, findings: &mut Findings) {
    let first = key.parts().next().map(str::to_owned);
    match first.as_deref() {
        Some("_gone") => _ = findings.gone.insert(item),
        Some("_purged") => _ = findings.purged.insert(item),
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
    if ledger.purged > 0 {
        rows.push(vec!["of the dead, purged".to_owned(), format!("{:>8}", ledger.purged)]);
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use jiff::Timestamp;
    use scrapefleet_queue::memory::Memory;
    use scrapefleet_store::{MemoryStore, Metadata, Origin};

    use super::*;

    #[tokio::test]
    async fn evidence_and_post_mortems_count_for_nothing_even_damaged() {
        let fleet = FleetName::new("fleet").unwrap();
        let item = ItemId::new("bot-0").unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let origin = Origin {
            fleet: fleet.clone(),
            item: item.clone(),
            discovered_at: at,
            scraped_at: at,
            attempt: 1,
        };
        let metadata = Metadata::of(b"whole", origin, "application/json");
        let store = MemoryStore::default();
        for key in [
            Key::post_mortem(&fleet, 0, at, 0, "json"),
            Key::post_mortem(&fleet, 0, at, 0, "png"),
            Key::evidence(&fleet, &item, 1, "screenshot.png"),
            Key::purged_unreadable(&fleet, "x"),
        ] {
            store.damage(key, Bytes::from_static(b"broken"), metadata.clone());
        }
        let queue = Memory::new(Arc::new(|| Timestamp::UNIX_EPOCH), 20);
        let ledger = Ledger::of(find(&fleet, &queue, &store).await.unwrap());
        assert!(ledger.balances() && ledger == Ledger::default(), "{ledger:?}");
        store.damage(Key::gone(&fleet, &item), Bytes::from_static(b"broken"), metadata);
        let ledger = Ledger::of(find(&fleet, &queue, &store).await.unwrap());
        assert_eq!(ledger.unreadable.len(), 1, "what says where an item is must be whole");
    }
}
