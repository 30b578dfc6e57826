//! The contract suite: what every store promises, as tests that run against any implementation.
//!
//! An implementation gives a [`Harness`] and lets [`store_contract!`](crate::store_contract) make a test of every promise:
//!
//! ```text
//! scrapefleet_store::store_contract!(MyHarness);
//! ```
//!
//! A promise that is broken panics and says which.

#![allow(clippy::missing_panics_doc, reason = "panicking is how a broken promise is told")]

use std::sync::Arc;

use async_trait::async_trait;

use crate::ArtifactStore;

mod listing;
mod metadata;
mod objects;
mod races;
mod sample;

pub use listing::{
    a_listing_has_each_key_with_the_prefix_once, a_listing_is_stable_while_objects_are_put,
    an_empty_store_has_nothing,
};
pub use metadata::{
    bytes_of_other_metadata_are_not_stored, hostile_metadata_reads_back, metadata_out_of_bounds_is_refused,
};
pub use objects::{
    a_put_object_reads_back, a_put_object_survives_reopening, a_second_put_changes_nothing,
    exists_follows_puts, keys_are_taken_literally,
};
pub use races::{
    fifty_writers_of_equal_bytes_store_them_once, no_reader_sees_half_an_object,
    of_fifty_racing_writers_one_stores,
};

/// Makes places for a kind of store.
#[async_trait]
pub trait Harness: Send + Sync {
    /// A place that holds nothing and that no other test uses.
    async fn place(&self) -> Box<dyn Place>;
}

/// Somewhere that a store keeps its objects: a folder, a bucket. Dropping it removes them.
#[async_trait]
pub trait Place: Send + Sync {
    /// Opens the place anew: a client of its own where the kind of store has such, which shares nothing with earlier
    /// ones but the objects.
    async fn open(&self) -> Arc<dyn ArtifactStore>;
}

/// Makes a test of every promise, with a harness made by the expression.
#[macro_export]
macro_rules! store_contract {
    ($harness:expr) => {
        $crate::store_contract! { @each $harness;
            an_empty_store_has_nothing
            a_put_object_reads_back
            a_put_object_survives_reopening
            a_second_put_changes_nothing
            exists_follows_puts
            keys_are_taken_literally
            hostile_metadata_reads_back
            bytes_of_other_metadata_are_not_stored
            metadata_out_of_bounds_is_refused
            a_listing_has_each_key_with_the_prefix_once
            a_listing_is_stable_while_objects_are_put
            of_fifty_racing_writers_one_stores
            fifty_writers_of_equal_bytes_store_them_once
            no_reader_sees_half_an_object
        }
    };
    (@each $harness:expr; $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                $crate::contract::$promise(&$harness).await;
            }
        )*
    };
}
