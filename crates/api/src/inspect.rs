//! What a site knows of its own artifacts, beyond what a recipe can say.

use std::collections::BTreeMap;

use crate::ItemId;

/// Judges an artifact before it is stored.
pub trait Inspect: Send + Sync + std::fmt::Debug {
    /// Says whether `artifact`, taken from `item`, is whole.
    fn completeness(&self, item: &ItemId, artifact: &[u8]) -> Completeness;

    /// Facts worth keeping beside the artifact (`winner`, `turns`): short ASCII keys; values are hostile text.
    fn facts(&self, artifact: &[u8]) -> BTreeMap<String, String> {
        let _ = artifact;
        BTreeMap::new()
    }
}

/// Whether an artifact is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completeness {
    /// Nothing is missing.
    Complete,
    /// Something may still come and is worth a bounded wait; after it the artifact is stored as partial, for this reason.
    Late(String),
    /// It can never be right as it is (a hole in the middle, two ends): take it again, elsewhere.
    Broken(String),
}
