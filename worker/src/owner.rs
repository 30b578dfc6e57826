//! Whose object is under a key. Fleets that share a bucket and leave `{fleet}` out of their keys can meet there.

use scrapefleet_api::{FleetName, ItemId};
use scrapefleet_store::{ArtifactStore, Key, StoreError};

/// Why the object under `key` is not the artifact of that item of that fleet; none when it is, or when nothing is there.
pub(crate) async fn stranger(
    store: &dyn ArtifactStore,
    key: &Key,
    fleet: &FleetName,
    item: &ItemId,
) -> Result<Option<String>, StoreError> {
    let Some(found) = store.get(key).await? else { return Ok(None) };
    let (owner, of) = (&found.metadata.fleet, &found.metadata.item);
    Ok((owner != fleet || of != item).then(|| {
        format!(
            "the store has item {of} of fleet {owner} under the key {key}: put {{fleet}} into `spec.store.key`, or give the \
             fleet a bucket of its own, and replay this letter"
        )
    }))
}
