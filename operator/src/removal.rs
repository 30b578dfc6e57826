//! Deleting the queues of a fleet that is deleted.

use async_trait::async_trait;

use crate::api::{Doomed, QueueRemoval};

/// For builds without a way to delete queues: it says so, and the fleet stays until its manifest says `Keep`.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRemoval;

#[async_trait]
impl QueueRemoval for NoRemoval {
    async fn remove(&self, doomed: &Doomed) -> Result<(), String> {
        Err(format!("this operator cannot delete the queues of fleet {}", doomed.fleet))
    }
}
