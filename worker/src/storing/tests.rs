use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use scrapefleet_api::FleetName;
use scrapefleet_store::{Artifact, MAX_OBJECT, MemoryStore, Origin, StoreError, s3::Limits};

use super::*;

const MIB: usize = 1 << 20;

/// A store as slow as one may be that is not given up: it answers after 24 s, and carries 1 MiB a second.
#[derive(Debug, Default)]
struct Slow {
    inner: MemoryStore,
    puts: AtomicU32,
}

#[async_trait]
impl ArtifactStore for Slow {
    async fn put_new(&self, key: &Key, bytes: Bytes, metadata: &Metadata) -> Result<Put, StoreError> {
        self.puts.fetch_add(1, Relaxed);
        let carries = Duration::from_secs((bytes.len() / MIB).try_into().unwrap());
        tokio::time::sleep(Duration::from_secs(24) + carries).await;
        self.inner.put_new(key, bytes, metadata).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Artifact>, StoreError> {
        self.inner.get(key).await
    }

    async fn exists(&self, key: &Key) -> Result<bool, StoreError> {
        self.inner.exists(key).await
    }

    async fn list(&self, prefix: &str) -> Result<BoxStream<'static, Result<Key, StoreError>>, StoreError> {
        self.inner.list(prefix).await
    }
}

/// An object of 16 MiB, the largest artifact.
fn large() -> Object {
    let bytes = Bytes::from(vec![b'x'; 16 * MIB]);
    let origin = Origin {
        fleet: FleetName::new("fleet").unwrap(),
        item: ItemId::new("item").unwrap(),
        discovered_at: Timestamp::UNIX_EPOCH,
        scraped_at: Timestamp::UNIX_EPOCH,
        attempt: 1,
    };
    Object { key: Key::new("item").unwrap(), metadata: Metadata::of(&bytes, origin, "text/plain"), bytes }
}

#[tokio::test(start_paused = true)]
async fn a_large_object_is_given_the_time_that_its_bytes_take() {
    let (store, object) = (Slow::default(), large());
    let put = keep(&store, &object, &StoreTrouble::default(), &|what| panic!("{what} is repeated")).await;
    assert_eq!((put.unwrap(), store.puts.load(Relaxed)), (Put::Stored, 1));
    let store = Slow::default();
    let kept = keep_evidence(&store, std::slice::from_ref(&object)).await;
    assert_eq!((kept, store.puts.load(Relaxed)), (vec![object.key.to_string()], 1));
}

#[test]
fn a_store_gives_up_by_itself_before_it_is_given_up() {
    let limits = Limits::default();
    for bytes in [0, 1, MIB - 1, MIB, 16 * MIB, MAX_OBJECT] {
        let carries = Duration::from_secs_f64(f64::from(u32::try_from(bytes).unwrap()) / 1_048_576.0);
        assert_eq!(limits.slowest, SLOWEST);
        assert!(put_within(bytes).hard > limits.overall + carries, "{bytes}");
    }
}
