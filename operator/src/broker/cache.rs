//! One reading of a broker for all who ask at about the same time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use scrapefleet_policy::{Clock, Instant};
use tokio::sync::Mutex;

use super::{
    Unread,
    address::{Broker, InvalidBroker, Key},
    listing::Listing,
    management::Management,
};

/// How long a reading is that of now: no broker is asked more often.
pub(crate) const SHARED: Duration = Duration::from_secs(1);

/// How long a reading serves while the broker does not answer: a call that is lost is no reason for alarm.
pub(crate) const KEPT: Duration = Duration::from_secs(5);

/// How long a broker is remembered that nobody asks for.
const FORGOTTEN: Duration = Duration::from_mins(10);

/// How many brokers are remembered; beyond, the one asked for least lately is forgotten.
const MOST: usize = 500;

/// What was read of a broker, and when.
#[derive(Debug, Clone)]
pub(crate) struct Sheet {
    pub(crate) listing: Arc<Listing>,
    pub(crate) read: Instant,
    pub(crate) at: Timestamp,
}

/// The brokers known now.
#[derive(Debug, Default)]
pub(crate) struct Brokers(std::sync::Mutex<HashMap<Key, Slot>>);

#[derive(Debug, Clone)]
struct Slot {
    shared: Arc<Shared>,
    used: Instant,
}

/// One broker, asked by one at a time.
#[derive(Debug)]
pub(crate) struct Shared {
    management: Management,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the broker was last asked.
    asked: Option<Instant>,
    /// What came of it, and when.
    answer: Option<(Result<Sheet, Unread>, Instant)>,
    /// The last that was read.
    sheet: Option<Sheet>,
}

impl Brokers {
    /// The broker, as all share it who ask as the same user.
    pub(crate) fn get(&self, broker: &Broker, now: Instant) -> Result<Arc<Shared>, InvalidBroker> {
        let mut slots = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(&broker.key) {
            slot.used = now;
            return Ok(slot.shared.clone());
        }
        let management = Management::new(broker.clone())?;
        slots.retain(|_, slot| now.saturating_duration_since(slot.used) < FORGOTTEN);
        if slots.len() >= MOST
            && let Some(oldest) = slots.iter().min_by_key(|(_, slot)| slot.used).map(|(key, _)| key.clone())
        {
            slots.remove(&oldest);
        }
        let shared = Arc::new(Shared { management, state: Mutex::default() });
        slots.insert(broker.key.clone(), Slot { shared: shared.clone(), used: now });
        Ok(shared)
    }
}

impl Shared {
    /// What is in the broker's queues: read now, or within the last second by another.
    pub(crate) async fn sheet(&self, clock: &dyn Clock) -> Result<Sheet, Unread> {
        // Whoever has the lock asks, under a deadline; who waited for it finds the answer.
        let mut state = self.state.lock().await;
        if let Some((answer, when)) = &state.answer
            && when.elapsed() < SHARED
        {
            return answer.clone();
        }
        if let Some(asked) = state.asked {
            // One who asked may have gone away before the answer; that was a call all the same.
            tokio::time::sleep_until(asked + SHARED).await;
        }
        state.asked = Some(Instant::now());
        let answer = self.read(clock).await;
        state.take(answer)
    }

    async fn read(&self, clock: &dyn Clock) -> Result<Sheet, Unread> {
        // The time before the call: the reading is no younger than that.
        let (read, at) = (Instant::now(), clock.now());
        let listing = Arc::new(self.management.list().await?);
        Ok(Sheet { listing, read, at })
    }
}

impl State {
    fn take(&mut self, answer: Result<Sheet, Unread>) -> Result<Sheet, Unread> {
        let answer = match (answer, self.sheet.take()) {
            (Err(why), Some(last)) if why.passes() && last.read.elapsed() < KEPT => Ok(last),
            (answer, _) => answer,
        };
        self.sheet = answer.as_ref().ok().cloned();
        self.answer = Some((answer.clone(), Instant::now()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use scrapefleet_api::queue::{OnDelete, RabbitMqQueue};

    use super::*;
    use crate::broker::{Credentials, Password};

    fn broker(host: usize) -> Broker {
        let queue = RabbitMqQueue {
            url: format!("amqp://host-{host}"),
            management_url: None,
            secret_name: None,
            copies: None,
            on_delete: OnDelete::Keep,
        };
        let credentials =
            Credentials { username: "u".to_owned(), password: Password::new("hidden"), ca: None };
        Broker::new(&queue, credentials).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn brokers_are_shared_bounded_and_forgotten() {
        let brokers = Brokers::default();
        let start = Instant::now();
        let first = brokers.get(&broker(0), start).unwrap();
        for host in 1..MOST {
            brokers.get(&broker(host), start + Duration::from_secs(1)).unwrap();
        }
        let again = brokers.get(&broker(0), start + Duration::from_secs(2)).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        brokers.get(&broker(MOST), start + Duration::from_secs(3)).unwrap();
        let count = || brokers.0.lock().unwrap().len();
        assert_eq!(count(), MOST, "one was forgotten for the new one");
        let kept = brokers.get(&broker(0), start + Duration::from_secs(4)).unwrap();
        assert!(Arc::ptr_eq(&first, &kept), "and not the one that is used");
        brokers.get(&broker(MOST + 1), start + Duration::from_secs(5) + FORGOTTEN).unwrap();
        assert_eq!(count(), 1);
    }

    fn state(age: Duration) -> State {
        let read = Instant::now();
        let at = Timestamp::UNIX_EPOCH;
        let sheet = Some(Sheet { listing: Arc::default(), read: read.checked_sub(age).unwrap(), at });
        State { sheet, ..State::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_reading_serves_a_little_longer_where_trouble_may_pass() {
        tokio::time::advance(Duration::from_mins(1)).await;
        let at = || "mq:1".to_owned();
        let lost = || Unread::Unreachable { at: at(), why: "lost".to_owned() };
        let busy = Unread::Refused { at: at(), status: 503, said: "busy".to_owned() };
        let gone = Unread::NoVhost { at: at(), vhost: "v".to_owned() };
        let second = Duration::from_secs(1);
        for (why, age, serves) in
            [(lost(), second, true), (busy, second, true), (gone, second, false), (lost(), KEPT, false)]
        {
            let answer = state(age).take(Err(why.clone()));
            assert_eq!(answer.is_ok(), serves, "{why} after {age:?}");
        }
        assert!(State::default().take(Err(lost())).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_reading_gets_older() {
        let mut state = state(Duration::ZERO);
        let lost = || Err(Unread::Unreachable { at: "mq:1".to_owned(), why: "lost".to_owned() });
        let mut served = 0;
        while state.take(lost()).is_ok() {
            served += 1;
            assert!(served < 10, "it serves for ever");
            tokio::time::advance(SHARED).await;
        }
        assert_eq!(served, 5);
    }
}
