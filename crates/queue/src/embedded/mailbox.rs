//! The way from the callers to the writer thread: bounded by bytes, so that many large messages wait at their
//! senders and not here.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::change::{Answer, Change, Request};
use crate::QueueError;

/// The most that waits to be written, in KiB. One batch is at most this; it is also what one transaction adds to the file.
const ROOM_KIB: u32 = 16 * 1024;

/// How long the record that a task was handed out may wait for something else to be written with it. A holder
/// that dies sooner than this is not counted against its task.
const MARK_DELAY: Duration = Duration::from_millis(10);

/// What waits to be written.
#[derive(Debug)]
pub(super) struct Mailbox {
    inbox: Mutex<Inbox>,
    arrived: Condvar,
    room: Semaphore,
}

#[derive(Debug, Default)]
struct Inbox {
    requests: Vec<Request>,
    /// KiB to be free again once the requests are written.
    taken: u32,
    /// When the writer is to look at what there is to do, though nobody asks for a change.
    wake_at: Option<Instant>,
    closed: bool,
}

/// Room for one request.
pub(super) struct Room<'a>(SemaphorePermit<'a>);

/// What the writer handles at once.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) requests: Vec<Request>,
    taken: u32,
}

impl Mailbox {
    pub(super) fn new() -> Self {
        let room = Semaphore::new(ROOM_KIB as usize);
        Self { inbox: Mutex::default(), arrived: Condvar::new(), room }
    }

    /// The most bytes that one request may carry: a fourth of the room, so that large ones cannot take it all.
    pub(super) const fn most_bytes() -> usize {
        (ROOM_KIB / 4) as usize * 1024
    }

    /// Waits for room. Cancel safe; fails when the queue is closed.
    pub(super) async fn room(&self, bytes: usize) -> Result<Room<'_>, QueueError> {
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(ROOM_KIB);
        self.room.acquire_many(kib).await.map(Room).map_err(|_| QueueError::Closed)
    }

    /// Hands a request to the writer; the answer comes when it is on disk.
    pub(super) fn post(&self, room: Room<'_>, change: Change) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        let mut inbox = self.inbox();
        if !inbox.closed {
            inbox.taken += u32::try_from(room.0.num_permits()).unwrap_or(ROOM_KIB);
            room.0.forget();
            inbox.requests.push(Request { change, reply });
            self.arrived.notify_one();
        }
        answer
    }

    /// Says that a task was handed out, which is to be recorded soon.
    pub(super) fn mark(&self) {
        self.wake_in(MARK_DELAY);
    }

    /// Has the writer look at what there is to do after `delay`, or earlier if it will anyway.
    pub(super) fn wake_in(&self, delay: Duration) {
        let mut inbox = self.inbox();
        if inbox.wake_at.is_none() && !inbox.closed {
            inbox.wake_at = Some(Instant::now() + delay);
            self.arrived.notify_one();
        }
    }

    /// Waits for something to write; a batch without requests is a wake-up. None: the mailbox is closed and empty.
    pub(super) fn collect(&self) -> Option<Batch> {
        let mut inbox = self.inbox();
        loop {
            let wait = inbox.wake_at.map(|at| at.saturating_duration_since(Instant::now()));
            let awake = wait == Some(Duration::ZERO);
            if !inbox.requests.is_empty() || awake || (inbox.closed && wait.is_some()) {
                inbox.wake_at = None;
                let requests = std::mem::take(&mut inbox.requests);
                return Some(Batch { requests, taken: std::mem::take(&mut inbox.taken) });
            }
            if inbox.closed {
                return None;
            }
            inbox = match wait {
                None => self.arrived.wait(inbox).unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    self.arrived.wait_timeout(inbox, wait).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Says that a batch has been written, which makes room for others.
    pub(super) fn written(&self, taken: u32) {
        self.room.add_permits(taken as usize);
    }

    /// Takes nothing more; what is here is still written.
    pub(super) fn close(&self) {
        self.inbox().closed = true;
        self.room.close();
        self.arrived.notify_one();
    }

    /// Takes nothing more, and tells whoever waits that nothing is written any more.
    pub(super) fn abandon(&self) {
        self.close();
        self.inbox().requests.clear();
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    /// KiB that the batch holds of the mailbox's room.
    pub(super) fn taken(&self) -> u32 {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn replay() -> Change {
        Change::Replay("battle-1".parse().unwrap())
    }

    #[tokio::test]
    async fn what_waits_is_bounded_by_its_bytes() {
        let mailbox = Mailbox::new();
        let most = Mailbox::most_bytes() - 1;
        for _ in 0..4 {
            drop(mailbox.post(mailbox.room(most).await.unwrap(), replay()));
        }
        assert!(mailbox.room(most).now_or_never().is_none(), "a fifth must wait");
        let batch = mailbox.collect().unwrap();
        assert_eq!(batch.requests.len(), 4);
        mailbox.written(batch.taken());
        assert!(mailbox.room(most).now_or_never().is_some(), "room again after writing");
    }

    #[tokio::test]
    async fn a_closed_mailbox_gives_out_what_it_has_and_takes_no_more() {
        let mailbox = Mailbox::new();
        drop(mailbox.post(mailbox.room(1).await.unwrap(), replay()));
        let late = mailbox.room(1).await.unwrap();
        mailbox.close();
        assert!(matches!(mailbox.room(1).await, Err(QueueError::Closed)));
        assert!(mailbox.post(late, replay()).await.is_err());
        assert_eq!(mailbox.collect().unwrap().requests.len(), 1);
        assert!(mailbox.collect().is_none());
    }

    #[tokio::test]
    async fn an_abandoned_mailbox_keeps_nobody_waiting() {
        let mailbox = Mailbox::new();
        let answer = mailbox.post(mailbox.room(1).await.unwrap(), replay());
        mailbox.abandon();
        assert!(answer.await.is_err());
    }

    #[tokio::test]
    async fn a_closed_mailbox_can_be_woken_no_more() {
        let mailbox = Mailbox::new();
        mailbox.close();
        mailbox.mark();
        assert!(mailbox.collect().is_none());
    }

    #[tokio::test]
    async fn marks_come_alone_only_after_their_delay() {
        let mailbox = Mailbox::new();
        let before = Instant::now();
        mailbox.mark();
        assert!(mailbox.collect().unwrap().requests.is_empty());
        assert!(before.elapsed() >= MARK_DELAY);
        mailbox.mark();
        let room = mailbox.room(1).await.unwrap();
        drop(mailbox.post(room, replay()));
        assert_eq!(mailbox.collect().unwrap().requests.len(), 1, "together with what else is there");
    }
}
