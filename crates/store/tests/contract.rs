//! The contract suite, run against every implementation.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod memory {
    //! The fake.

    use std::sync::Arc;

    use async_trait::async_trait;
    use scrapefleet_store::{
        ArtifactStore, MemoryStore,
        contract::{Harness, Place},
        store_contract,
    };

    struct Memory;

    #[async_trait]
    impl Harness for Memory {
        async fn place(&self) -> Box<dyn Place> {
            Box::new(Shared(MemoryStore::default()))
        }
    }

    struct Shared(MemoryStore);

    #[async_trait]
    impl Place for Shared {
        async fn open(&self) -> Arc<dyn ArtifactStore> {
            Arc::new(self.0.clone())
        }
    }

    store_contract!(Memory);
}

mod directory {
    //! A folder.

    use std::sync::Arc;

    use async_trait::async_trait;
    use scrapefleet_store::{
        ArtifactStore, DirectoryStore,
        contract::{Harness, Place},
        store_contract,
    };
    use tempfile::TempDir;

    struct Directory;

    #[async_trait]
    impl Harness for Directory {
        async fn place(&self) -> Box<dyn Place> {
            Box::new(Folder(TempDir::new().unwrap()))
        }
    }

    struct Folder(TempDir);

    #[async_trait]
    impl Place for Folder {
        async fn open(&self) -> Arc<dyn ArtifactStore> {
            Arc::new(DirectoryStore::open(self.0.path()).await.unwrap())
        }
    }

    store_contract!(Directory);
}
