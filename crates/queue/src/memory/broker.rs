//! What the fake keeps, and what each call does to it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use scrapefleet_api::{ItemId, LaneName};
use tokio::sync::Notify;

use crate::{
    ConsumerOptions, DeadLetter, Depth, Failure, JournalEntry, Now, Published, QueueError, Task, TaskState,
    lanes::Picker,
    locks::{Held, Locks},
    message,
    purge::Wanted,
    waiting,
};

/// The queue behind every handle.
pub(super) struct Broker {
    state: Mutex<State>,
    /// Told of every change.
    pub(super) changed: Notify,
    now: Now,
    max_deliveries: u32,
}

#[derive(Debug, Default)]
struct State {
    journal: Vec<JournalEntry>,
    known: HashSet<ItemId>,
    messages: Vec<Message>,
    letters: Vec<Letter>,
    consumers: HashMap<u64, Picker>,
    last_number: u64,
    locks: Locks,
}

/// An unfinished task. Messages are in the order in which they are handed out.
#[derive(Debug)]
struct Message {
    lane: LaneName,
    bytes: Vec<u8>,
    place: Place,
    deliveries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Ready,
    Delayed { until: Timestamp },
    Held { consumer: u64, ticket: u64 },
}

#[derive(Debug)]
struct Letter {
    lane: LaneName,
    bytes: Vec<u8>,
    failure: Failure,
}

/// How a claim ends.
pub(super) enum Finish {
    Ack,
    Release,
    Retry(Duration, Vec<u8>),
    Dead(Failure),
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Broker {
    pub(super) fn new(now: Now, max_deliveries: u32) -> Self {
        let state = State { locks: Locks::new(), ..State::default() };
        Self { state: Mutex::new(state), changed: Notify::new(), now, max_deliveries }
    }

    /// The state as of now: a delay that has passed is over for every caller alike.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.now)();
        for message in &mut state.messages {
            if matches!(message.place, Place::Delayed { until } if until <= now) {
                message.place = Place::Ready;
                self.changed.notify_waiters();
            }
        }
        state
    }

    pub(super) fn publish(&self, tasks: &[Task]) -> Result<Published, QueueError> {
        let messages = tasks.iter().map(message::write).collect::<Result<Vec<_>, _>>()?;
        let mut state = self.state();
        let mut published = Published::default();
        for (task, bytes) in tasks.iter().zip(messages) {
            if state.known.insert(task.id.clone()) {
                state.journal.push(JournalEntry::of(task));
                state.messages.push(Message::ready(&task.lane, bytes));
                published.new += 1;
            } else {
                published.known += 1;
            }
        }
        self.changed.notify_waiters();
        Ok(published)
    }

    pub(super) fn put(&self, lane: &LaneName, bytes: &[u8]) {
        self.state().messages.push(Message::ready(lane, bytes.to_vec()));
        self.changed.notify_waiters();
    }

    pub(super) fn connect(&self, options: &ConsumerOptions) -> Result<u64, QueueError> {
        let picker = Picker::new(options)?;
        let mut state = self.state();
        let number = state.number();
        state.consumers.insert(number, picker);
        Ok(number)
    }

    pub(super) fn disconnect(&self, number: u64) {
        let mut state = self.state();
        state.consumers.remove(&number);
        for message in &mut state.messages {
            if matches!(message.place, Place::Held { consumer, .. } if consumer == number) {
                message.place = Place::Ready;
            }
        }
        self.changed.notify_waiters();
    }

    /// The next task for a consumer, held from now on; what can never be done is put to the dead letters on the way.
    pub(super) fn take(&self, consumer: u64) -> Result<Option<(u64, Task)>, QueueError> {
        let mut guard = self.state();
        loop {
            let state = &mut *guard;
            let picker = state.consumers.get_mut(&consumer).ok_or(QueueError::Closed)?;
            let is_ready =
                |message: &Message, lane: &LaneName| message.place == Place::Ready && message.lane == *lane;
            let Some(lane) = picker.take(|lane| state.messages.iter().any(|m| is_ready(m, lane))).cloned()
            else {
                return Ok(None);
            };
            let Some(index) = state.messages.iter().position(|m| is_ready(m, &lane)) else { return Ok(None) };
            let message = &state.messages[index];
            let at = (self.now)();
            let failure = match message::read(&message.bytes) {
                Err(unreadable) => message::unreadable(unreadable.problem, at),
                Ok(_) if message.deliveries >= self.max_deliveries => {
                    message::holder_died(message.deliveries, at)
                }
                Ok(task) => return Ok(Some((state.hold(index, consumer), task))),
            };
            picker.give_back(&lane);
            state.bury(index, failure);
        }
    }

    pub(super) fn finish(&self, ticket: u64, how: Finish) -> Result<(), QueueError> {
        let mut state = self.state();
        let index = state.held(ticket).ok_or(QueueError::Closed)?;
        state.let_go(index);
        match how {
            Finish::Ack => drop(state.messages.remove(index)),
            Finish::Release => state.messages[index].deliveries = 0,
            Finish::Dead(failure) => state.bury(index, failure),
            Finish::Retry(delay, bytes) => {
                let lane = state.messages.remove(index).lane;
                let until = waiting::after((self.now)(), delay);
                state
                    .messages
                    .push(Message { place: Place::Delayed { until }, ..Message::ready(&lane, bytes) });
            }
        }
        self.changed.notify_waiters();
        Ok(())
    }

    pub(super) fn give_back(&self, ticket: u64) {
        let mut state = self.state();
        if let Some(index) = state.held(ticket) {
            state.let_go(index);
            self.changed.notify_waiters();
        }
    }

    pub(super) fn next_due(&self) -> (Option<Timestamp>, Timestamp) {
        let due = |m: &Message| if let Place::Delayed { until } = m.place { Some(until) } else { None };
        (self.state().messages.iter().filter_map(due).min(), (self.now)())
    }

    pub(super) fn replay(&self, item: &ItemId) -> Result<(), QueueError> {
        let mut state = self.state();
        let is_it = |l: &Letter| l.show().item.as_ref() == Some(item);
        let index = state.letters.iter().position(is_it).ok_or_else(|| message::no_letter(item))?;
        let letter = state.letters.remove(index);
        state.messages.push(Message::ready(&letter.lane, message::replayed(&letter.bytes)));
        self.changed.notify_waiters();
        Ok(())
    }

    pub(super) fn purge(&self, letters: &[DeadLetter]) -> usize {
        let (mut state, mut wanted) = (self.state(), Wanted::of(letters));
        let before = state.letters.len();
        state.letters.retain(|letter| !wanted.take(&letter.show()));
        before - state.letters.len()
    }

    pub(super) fn lane_depths(&self) -> BTreeMap<LaneName, Depth> {
        let state = self.state();
        let mut depths: BTreeMap<LaneName, Depth> = BTreeMap::new();
        for message in &state.messages {
            let depth = depths.entry(message.lane.clone()).or_default();
            match message.place {
                Place::Ready => depth.ready += 1,
                Place::Delayed { .. } => depth.delayed += 1,
                Place::Held { .. } => depth.held += 1,
            }
        }
        for letter in &state.letters {
            depths.entry(letter.lane.clone()).or_default().dead += 1;
        }
        depths
    }

    pub(super) fn pending(&self) -> Vec<(Task, TaskState)> {
        let mut state = self.state();
        let unreadable = |m: &Message| message::read(&m.bytes).err().filter(|_| m.place == Place::Ready);
        let find =
            |state: &State| state.messages.iter().enumerate().find_map(|(i, m)| Some((i, unreadable(m)?)));
        while let Some((index, unreadable)) = find(&state) {
            let failure = message::unreadable(unreadable.problem, (self.now)());
            state.bury(index, failure);
        }
        let with_state = |m: &Message| Some((message::read(&m.bytes).ok()?, m.place.state()));
        state.messages.iter().filter_map(with_state).collect()
    }

    pub(super) fn journal(&self) -> Vec<JournalEntry> {
        self.state().journal.clone()
    }

    pub(super) fn dead_letters(&self) -> Vec<DeadLetter> {
        self.state().letters.iter().map(Letter::show).collect()
    }

    pub(super) fn lock(&self, name: &str) -> Option<Held> {
        self.state().locks.take(name)
    }

    pub(super) fn crash(&self) {
        let mut state = self.state();
        state.consumers.clear();
        std::mem::replace(&mut state.locks, Locks::new()).close();
        for message in &mut state.messages {
            if matches!(message.place, Place::Held { .. }) {
                message.place = Place::Ready;
            }
        }
        self.changed.notify_waiters();
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn held(&self, wanted: u64) -> Option<usize> {
        self.messages.iter().position(|m| matches!(m.place, Place::Held { ticket, .. } if ticket == wanted))
    }

    fn hold(&mut self, index: usize, consumer: u64) -> u64 {
        let ticket = self.number();
        self.messages[index].place = Place::Held { consumer, ticket };
        self.messages[index].deliveries += 1;
        ticket
    }

    fn let_go(&mut self, index: usize) {
        let message = &mut self.messages[index];
        if let Place::Held { consumer, .. } = message.place
            && let Some(picker) = self.consumers.get_mut(&consumer)
        {
            picker.give_back(&message.lane);
        }
        message.place = Place::Ready;
    }

    fn bury(&mut self, index: usize, failure: Failure) {
        let Message { lane, bytes, .. } = self.messages.remove(index);
        self.letters.push(Letter { lane, bytes, failure });
    }
}

impl Message {
    fn ready(lane: &LaneName, bytes: Vec<u8>) -> Self {
        Self { lane: lane.clone(), bytes, place: Place::Ready, deliveries: 0 }
    }
}

impl Place {
    fn state(self) -> TaskState {
        match self {
            Self::Ready => TaskState::Ready,
            Self::Delayed { .. } => TaskState::Delayed,
            Self::Held { .. } => TaskState::Held,
        }
    }
}

impl Letter {
    fn show(&self) -> DeadLetter {
        message::letter(&self.bytes, self.failure.clone())
    }
}
