//! Locks: an exclusive queue for each, which the broker deletes when the connection of its holder ends.

use std::sync::Arc;

use lapin::{
    Channel,
    options::{QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};
use tokio::runtime::Handle;

use super::{fault, link::Link};
use crate::{LockGuard, QueueError, locks::Held};

/// The longest name of a lock, in bytes.
const MAX_NAME: usize = 60;

/// A lock that is held, as long as its connection lives.
#[derive(Debug)]
pub(super) struct RabbitLock {
    link: Arc<Link>,
    /// None: it was freed.
    kept: Option<Kept>,
    runtime: Handle,
}

#[derive(Debug)]
struct Kept {
    queue: String,
    channel: Channel,
    /// The broker lets one connection declare its queue again, so among the users of one connection this decides.
    held: Held,
}

/// Takes the lock `name` if nobody has it.
pub(super) async fn take(link: &Arc<Link>, name: &str) -> Result<Option<RabbitLock>, QueueError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(allowed) {
        return Err(QueueError::Refused(format!(
            "lock `{}`: 1 to {MAX_NAME} letters, digits, dashes and underscores are allowed",
            name.escape_debug()
        )));
    }
    let Some(held) = link.locks.take(name) else { return Ok(None) };
    let channel = link.loose_channel().await?;
    let queue = link.names.lock(name);
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let declare = channel.queue_declare(queue.as_str().into(), exclusive, FieldTable::default());
    let declared = link.timely("lock", declare).await.inspect_err(|why| link.fail(why))?;
    match declared {
        Ok(_) => {
            let kept = Some(Kept { queue, channel, held });
            Ok(Some(RabbitLock { link: Arc::clone(link), kept, runtime: Handle::current() }))
        }
        Err(error) if fault::is_locked(&error) => Ok(None),
        Err(error) => {
            let why = fault::of(&link.address, "lock", &error);
            link.fail(&why);
            Err(why)
        }
    }
}

impl RabbitLock {
    /// Frees it and waits until it is free.
    pub(super) async fn free(mut self) {
        if let Some(kept) = self.kept.take() {
            kept.free(&self.link).await;
        }
    }
}

impl Kept {
    async fn free(self, link: &Link) {
        if link.alive() {
            let delete = self.channel.queue_delete(self.queue.as_str().into(), QueueDeleteOptions::default());
            // When it cannot be deleted the connection has failed, and the queue goes with it.
            let _ = link.call("unlock", delete).await;
            link.leave(&self.channel).await;
        }
        drop(self.held);
    }
}

impl LockGuard for RabbitLock {
    fn held(&self) -> bool {
        self.link.alive()
            && self.kept.as_ref().is_some_and(|kept| kept.held.held() && kept.channel.status().connected())
    }
}

impl Drop for RabbitLock {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.take() {
            let link = Arc::clone(&self.link);
            self.runtime.spawn(async move { kept.free(&link).await });
        }
    }
}
