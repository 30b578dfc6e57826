//! Dead letters on a queue and a store in memory, and on the embedded queue.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use scrapefleet_api::{FleetName, ItemId, LaneName};
use scrapefleet_queue::{ConsumerOptions, Failure, Lane, Task, TaskQueue, embedded, memory::Memory};
use scrapefleet_store::{ArtifactStore as _, Key, MemoryStore, memory::Outage};
use serde_json::json;

use super::{purge::purge_from, *};
use crate::{ledger::Ledger, verify::find};

fn fleet() -> FleetName {
    FleetName::new("fleet").unwrap()
}

fn id(text: &str) -> ItemId {
    ItemId::new(text).unwrap()
}

fn task(id: &str) -> Task {
    let task = json!({
        "schemaVersion": 1, "fleet": "fleet", "id": id, "url": format!("http://site/{id}"), "lane": "default",
        "discoveredAt": "2026-01-02T03:04:05Z", "attempt": 1,
    });
    serde_json::from_value(task).unwrap()
}

/// A queue of four items, of which `a`, `b` and `c` are dead, `c` for another reason.
async fn filled(queue: &dyn TaskQueue) {
    queue.publish(["a", "b", "c", "d"].map(task).into()).await.unwrap();
    let lanes = vec![Lane { name: LaneName::default(), weight: 1 }];
    let options = ConsumerOptions { name: "test".to_owned(), holds: 4, lanes };
    let mut consumer = queue.consume(options).await.unwrap();
    for _ in 0..4 {
        let claim = scrapefleet_policy::within(Duration::from_secs(10), "a task", consumer.next()).await;
        let mut claim = claim.unwrap().unwrap();
        let reason = match claim.task().id.as_str() {
            "a" | "b" => Reason::OpenFailed,
            "c" => Reason::TooLate,
            _ => continue,
        };
        let (message, at) = ("no".to_owned(), Timestamp::UNIX_EPOCH);
        claim.dead(Failure { reason, message, at, evidence: Vec::new() }).await.unwrap();
    }
}

async fn ledger(queue: &dyn TaskQueue, store: &MemoryStore) -> Ledger {
    Ledger::of(find(&fleet(), queue, store).await.unwrap())
}

fn items(letters: &[DeadLetter]) -> Vec<&str> {
    let mut items: Vec<_> = letters.iter().filter_map(|l| l.item.as_ref()).map(ItemId::as_str).collect();
    items.sort_unstable();
    items
}

fn named(items: &[&str]) -> Which {
    Which { items: items.iter().map(|item| (*item).to_owned()).collect(), ..Which::default() }
}

#[tokio::test]
async fn letters_are_chosen_by_item_and_by_reason() {
    let queue = Memory::new(Arc::new(|| Timestamp::UNIX_EPOCH), 20);
    filled(&queue).await;
    let letters = queue.dead_letters().await.unwrap();
    let choose = |which| chosen(letters.clone(), &which);
    assert_eq!(items(&choose(named(&["a", "c"])).unwrap()), ["a", "c"]);
    assert_eq!(items(&choose(Which { all: true, ..Which::default() }).unwrap()), ["a", "b", "c"]);
    let reason = vec![Reason::TooLate, Reason::Forbidden];
    assert_eq!(items(&choose(Which { reason: reason.clone(), ..Which::default() }).unwrap()), ["c"]);
    assert_eq!(items(&choose(Which { reason, ..named(&["a", "c"]) }).unwrap()), ["c"]);
    let missing = choose(named(&["a", "d"])).unwrap_err().to_string();
    assert!(missing.contains("`d` is no dead letter"), "{missing}");
}

async fn purges_and_balances(queue: &dyn TaskQueue) {
    let store = MemoryStore::default();
    filled(queue).await;
    let letters = chosen(queue.dead_letters().await.unwrap(), &named(&["a", "c"])).unwrap();
    assert_eq!(purge_from(&fleet(), queue, &store, &letters, Timestamp::MAX).await.unwrap(), 2);
    assert_eq!(items(&queue.dead_letters().await.unwrap()), ["b"]);
    let after = ledger(queue, &store).await;
    assert!(after.balances(), "{after:?}");
    assert_eq!((after.discovered, after.ready, after.dead, after.purged), (4, 1, 3, 2));
    let record = store.get(&Key::purged(&fleet(), &id("a"))).await.unwrap().unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record.bytes).unwrap();
    assert_eq!(
        (&record["letter"]["failure"]["reason"], &record["letter"]["task"]["url"]),
        (&json!("openFailed"), &json!("http://site/a"))
    );
    assert_eq!(purge_from(&fleet(), queue, &store, &letters, Timestamp::MAX).await.unwrap(), 0, "twice");
}

#[tokio::test]
async fn a_purged_item_stays_accounted_for() {
    purges_and_balances(&Memory::new(Arc::new(|| Timestamp::UNIX_EPOCH), 20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purged_item_stays_accounted_for_on_the_embedded_queue() {
    let folder = tempfile::tempdir().unwrap();
    let options = embedded::Options::new(Arc::new(|| Timestamp::UNIX_EPOCH));
    let queue = embedded::open(folder.path().join("queue.redb"), options).await.unwrap();
    purges_and_balances(&queue).await;
    queue.close().await.unwrap();
}

#[tokio::test]
async fn without_its_record_nothing_is_purged() {
    let (queue, store) = (Memory::new(Arc::new(|| Timestamp::UNIX_EPOCH), 20), MemoryStore::default());
    filled(&queue).await;
    let letters = queue.dead_letters().await.unwrap();
    store.set_outage(Some(Outage::Full));
    purge_from(&fleet(), &queue, &store, &letters, Timestamp::MAX).await.unwrap_err();
    store.set_outage(None);
    assert_eq!(queue.dead_letters().await.unwrap().len(), 3);
    let after = ledger(&queue, &store).await;
    assert!(after.balances() && after.purged == 0, "{after:?}");
}

#[tokio::test]
async fn who_dies_between_record_and_purge_has_lost_and_doubled_nothing() {
    let (queue, store) = (Memory::new(Arc::new(|| Timestamp::UNIX_EPOCH), 20), MemoryStore::default());
    filled(&queue).await;
    let letters = queue.dead_letters().await.unwrap();
    let elsewhere = Memory::new(Arc::new(|| Timestamp::UNIX_EPOCH), 20);
    // The records are put, and the letters are still there.
    assert_eq!(purge_from(&fleet(), &elsewhere, &store, &letters, Timestamp::MAX).await.unwrap(), 0);
    let between = ledger(&queue, &store).await;
    assert!(between.balances(), "{between:?}");
    assert_eq!((between.dead, between.purged), (3, 0));
    queue.replay(&id("a")).await.unwrap();
    let replayed = ledger(&queue, &store).await;
    assert!(replayed.balances(), "{replayed:?}");
    assert_eq!((replayed.ready, replayed.dead), (2, 2));
}

#[tokio::test]
async fn a_letter_of_nobody_keeps_the_ledger_from_balancing_until_it_is_purged() {
    let (queue, store) = (Memory::new(Arc::new(|| Timestamp::UNIX_EPOCH), 20), MemoryStore::default());
    queue.publish_raw(&LaneName::default(), b"{oh no");
    queue.pending().await.unwrap();
    assert!(!ledger(&queue, &store).await.balances());
    let letters = queue.dead_letters().await.unwrap();
    assert_eq!(purge_from(&fleet(), &queue, &store, &letters, Timestamp::MAX).await.unwrap(), 1);
    let after = ledger(&queue, &store).await;
    assert!(after.balances(), "{after:?}");
    let kept = store.get(&Key::purged_unreadable(&fleet(), "{oh no")).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&kept.bytes).contains("{oh no"));
}
