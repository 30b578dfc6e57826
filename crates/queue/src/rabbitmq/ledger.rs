//! Where every unfinished item is, as the journal tells it: a fold over its events, so a value that can be tested alone.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use scrapefleet_api::{ItemId, LaneName};

use super::names::Kind;
use crate::{Task, TaskState, message};

/// One message of the journal.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// Its place in the journal.
    pub(super) offset: u64,
    pub(super) kind: Kind,
    pub(super) lane: LaneName,
    /// The item, where the message itself does not say.
    pub(super) item: Option<ItemId>,
    /// The session that holds the task.
    pub(super) session: Option<String>,
    /// When the delay is over.
    pub(super) until: Option<Timestamp>,
    /// The task, where there is one.
    pub(super) body: Vec<u8>,
}

/// What is not finished, up to some offset of the journal.
///
/// An item is counted once however many messages there are of it: published again while it is unfinished it stays where
/// it is, published again when it is done it is ready again, and done means done whichever of its messages was.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The offset of the first event that is not in it yet.
    pub(super) next: u64,
    open: BTreeMap<ItemId, Open>,
    /// Messages in the lanes that are no tasks.
    odd: Vec<(LaneName, Vec<u8>)>,
}

#[derive(Debug)]
struct Open {
    task: Task,
    lane: LaneName,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Ready,
    Held(String),
    Delayed(Timestamp),
}

impl Ledger {
    /// Takes in the next event; one that it has already is left out.
    pub(super) fn apply(&mut self, event: Event) {
        if event.offset < self.next {
            return;
        }
        self.next = event.offset + 1;
        match event.kind {
            Kind::New => self.put(event, |_| Place::Ready, false),
            Kind::Ready => self.put(event, |_| Place::Ready, true),
            Kind::Held => self.put(event, |e| Place::Held(e.session.clone().unwrap_or_default()), true),
            Kind::Retry => self.put(event, |e| e.until.map_or(Place::Ready, Place::Delayed), true),
            Kind::Back => self.give_back(&event),
            Kind::Done | Kind::Dead => self.close(&event),
        }
    }

    fn put(&mut self, event: Event, place: impl Fn(&Event) -> Place, anew: bool) {
        let Ok(task) = message::read(&event.body) else {
            self.odd.push((event.lane, event.body));
            return;
        };
        if anew || !self.open.contains_key(&task.id) {
            let (place, lane) = (place(&event), event.lane);
            self.open.insert(task.id.clone(), Open { task, lane, place });
        }
    }

    fn give_back(&mut self, event: &Event) {
        let open = event.item.as_ref().and_then(|item| self.open.get_mut(item));
        if let Some(open) = open
            && let Place::Held(session) = &open.place
            && Some(session) == event.session.as_ref()
        {
            open.place = Place::Ready;
        }
    }

    fn close(&mut self, event: &Event) {
        if event.kind == Kind::Dead {
            match message::read(&event.body) {
                Ok(task) => drop(self.open.remove(&task.id)),
                Err(_) => self.forget_odd(event),
            }
        } else if let Some(item) = &event.item {
            self.open.remove(item);
        }
    }

    fn forget_odd(&mut self, event: &Event) {
        let found = self.odd.iter().position(|(lane, body)| *lane == event.lane && *body == event.body);
        if let Some(index) = found {
            self.odd.remove(index);
        }
    }

    /// The lanes in which messages wait that are no tasks.
    pub(super) fn odd_lanes(&self) -> HashSet<LaneName> {
        self.odd.iter().map(|(lane, _)| lane.clone()).collect()
    }

    /// Every unfinished task and where it is, when only these sessions live and it is `now`.
    pub(super) fn pending(&self, sessions: &HashSet<String>, now: Timestamp) -> Vec<(Task, TaskState)> {
        self.open.values().map(|open| (open.task.clone(), open.place.state(sessions, now))).collect()
    }

    /// How many tasks are delayed when it is `now`, by lane.
    pub(super) fn delayed(&self, now: Timestamp) -> BTreeMap<LaneName, u64> {
        let mut delayed = BTreeMap::new();
        for open in
            self.open.values().filter(|open| matches!(open.place, Place::Delayed(until) if until > now))
        {
            *delayed.entry(open.lane.clone()).or_default() += 1;
        }
        delayed
    }
}

impl Place {
    fn state(&self, sessions: &HashSet<String>, now: Timestamp) -> TaskState {
        match self {
            Self::Held(session) if sessions.contains(session) => TaskState::Held,
            Self::Delayed(until) if *until > now => TaskState::Delayed,
            _ => TaskState::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(offset: u64, kind: Kind, item: &str, session: Option<&str>, until: Option<i64>) -> Event {
        let task = json!({
            "schemaVersion": 1, "fleet": "f", "id": item, "url": "http://x/1", "lane": "a",
            "discoveredAt": "2026-01-01T00:00:00Z", "attempt": 1
        });
        Event {
            offset,
            kind,
            lane: LaneName::new("a").unwrap(),
            item: Some(ItemId::new(item).unwrap()),
            session: session.map(ToOwned::to_owned),
            until: until.map(|s| Timestamp::from_second(s).unwrap()),
            body: serde_json::to_vec(&task).unwrap(),
        }
    }

    /// What becomes of one item by these events, with session `s` alive at second 100.
    fn fold(events: &[(Kind, Option<&str>, Option<i64>)]) -> Option<TaskState> {
        let mut ledger = Ledger::default();
        for (offset, (kind, session, until)) in events.iter().enumerate() {
            ledger.apply(event(offset as u64, *kind, "x", *session, *until));
        }
        let pending = ledger.pending(&HashSet::from(["s".to_owned()]), Timestamp::from_second(100).unwrap());
        assert!(pending.len() <= 1);
        pending.first().map(|(_, state)| *state)
    }

    #[test]
    fn the_last_event_says_where_an_item_is() {
        use Kind::{Back, Dead, Done, Held, New, Ready, Retry};
        let (new, held) = ((New, None, None), (Held, Some("s"), None));
        let cases: [(&[_], Option<TaskState>); 13] = [
            (&[], None),
            (&[new], Some(TaskState::Ready)),
            (&[new, held], Some(TaskState::Held)),
            (&[new, (Held, Some("dead"), None)], Some(TaskState::Ready)),
            (&[new, held, new], Some(TaskState::Held)),
            (&[new, held, (Done, None, None)], None),
            (&[new, held, (Done, None, None), new], Some(TaskState::Ready)),
            (&[new, held, (Done, None, None), held], Some(TaskState::Held)),
            (&[new, held, (Back, Some("s"), None)], Some(TaskState::Ready)),
            (&[new, held, (Back, Some("other"), None)], Some(TaskState::Held)),
            (&[new, held, (Retry, None, Some(101))], Some(TaskState::Delayed)),
            (&[new, held, (Retry, None, Some(100))], Some(TaskState::Ready)),
            (&[new, held, (Dead, None, None), (Ready, None, None)], Some(TaskState::Ready)),
        ];
        for (events, expected) in cases {
            assert_eq!(fold(events), expected, "{events:?}");
        }
        assert_eq!(fold(&[new, held, (Dead, None, None)]), None);
    }

    #[test]
    fn an_event_that_was_taken_in_is_not_taken_in_again() {
        let mut ledger = Ledger::default();
        ledger.apply(event(7, Kind::New, "x", None, None));
        ledger.apply(event(8, Kind::Done, "x", None, None));
        ledger.apply(event(7, Kind::New, "x", None, None));
        assert_eq!(ledger.next, 9);
        assert!(ledger.pending(&HashSet::new(), Timestamp::UNIX_EPOCH).is_empty());
    }

    #[test]
    fn what_is_no_task_is_odd_until_it_is_dead() {
        let mut ledger = Ledger::default();
        let odd =
            |offset, kind, body: &[u8]| Event { body: body.to_vec(), ..event(offset, kind, "x", None, None) };
        ledger.apply(odd(0, Kind::New, b"{oh"));
        ledger.apply(odd(1, Kind::New, b"{no"));
        ledger.apply(odd(2, Kind::Dead, b"{oh"));
        assert_eq!(ledger.odd_lanes().len(), 1);
        ledger.apply(odd(3, Kind::Dead, b"{no"));
        assert!(ledger.odd_lanes().is_empty());
    }

    #[test]
    fn delayed_tasks_are_counted_by_lane() {
        let mut ledger = Ledger::default();
        for (offset, item) in ["x", "y"].into_iter().enumerate() {
            ledger.apply(event(offset as u64, Kind::Retry, item, None, Some(5)));
        }
        let at = |second| ledger.delayed(Timestamp::from_second(second).unwrap());
        assert_eq!(at(4).into_values().collect::<Vec<_>>(), [2]);
        assert!(at(5).is_empty());
    }
}
