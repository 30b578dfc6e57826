//! What the broker says of its queues.

use std::{collections::BTreeMap, fmt};

use scrapefleet_api::LaneName;
use scrapefleet_queue::Depth;
use scrapefleet_telemetry::escape;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};

use super::{
    Fleet, Unread,
    names::{self, Role},
};

/// States in which the numbers of a queue are those of the queue.
const SOUND: [&str; 3] = ["running", "idle", "flow"];

/// The longest text of the broker's that is shown, in characters.
const LONGEST_SHOWN: usize = 100;

/// How many tasks of one fleet are where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetDepth {
    /// By lane: ready, held and dead. Delayed tasks are not told apart by lane, so `delayed` is 0 here.
    pub lanes: BTreeMap<LaneName, Depth>,
    /// Tasks of all lanes that wait for their delay to pass.
    pub delayed: u64,
}

impl FleetDepth {
    /// All lanes together.
    #[must_use]
    pub fn total(&self) -> Depth {
        let mut total = Depth { delayed: self.delayed, ..Depth::default() };
        for lane in self.lanes.values() {
            total.ready = total.ready.saturating_add(lane.ready);
            total.held = total.held.saturating_add(lane.held);
            total.dead = total.dead.saturating_add(lane.dead);
        }
        total
    }
}

/// The queues of all fleets of one vhost, as the broker listed them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    fleets: BTreeMap<String, Vec<Queue>>,
}

/// A queue of a fleet.
#[derive(Debug, PartialEq, Eq)]
struct Queue {
    role: Role,
    counts: Result<Counts, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    ready: u64,
    unacknowledged: u64,
}

/// One row of the broker's list.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    name: std::borrow::Cow<'a, str>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    messages_ready: Option<Count>,
    #[serde(default)]
    messages_unacknowledged: Option<Count>,
}

/// A number as it should be, or anything else: one odd row must not hide the others.
#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Whole(u64),
    Odd(IgnoredAny),
}

impl Listing {
    /// Reads the body of an answer; the error says what is wrong with it.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| shown(&error.to_string()))
    }

    /// The depth of one fleet. Every lane has to be there, with numbers: what is not known is never taken for 0.
    pub(crate) fn depth(&self, fleet: &Fleet) -> Result<FleetDepth, Unread> {
        let scope = names::scope(&fleet.namespace, fleet.name.as_str());
        let queues = self.fleets.get(&scope).map(Vec::as_slice).unwrap_or_default();
        for lane in &fleet.lanes {
            if !queues.iter().any(|queue| queue.role == Role::Lane(lane.clone())) {
                return Err(Unread::NotDeclared { queue: names::lane(&scope, lane) });
            }
        }
        let mut depth = FleetDepth::default();
        for queue in queues {
            let counts = queue.counts.clone();
            let counts = counts.map_err(|why| Unread::Unknown { queue: queue.name(&scope), why })?;
            depth.add(&queue.role, counts);
        }
        Ok(depth)
    }

    fn add(&mut self, row: &Row<'_>) {
        if let Some((scope, role)) = names::read(&row.name) {
            let queue = Queue { role, counts: row.counts() };
            self.fleets.entry(scope.to_owned()).or_default().push(queue);
        }
    }
}

impl FleetDepth {
    fn add(&mut self, role: &Role, Counts { ready, unacknowledged }: Counts) {
        let all = ready.saturating_add(unacknowledged);
        match role {
            Role::Lane(lane) => {
                let depth = self.lanes.entry(lane.clone()).or_default();
                (depth.ready, depth.held) = (ready, unacknowledged);
            }
            Role::Dead(lane) => self.lanes.entry(lane.clone()).or_default().dead = all,
            Role::Delay => self.delayed = self.delayed.saturating_add(all),
        }
    }
}

impl Queue {
    fn name(&self, scope: &str) -> String {
        match &self.role {
            Role::Lane(lane) => names::lane(scope, lane),
            Role::Dead(lane) => format!("{scope}:dead.{lane}"),
            Role::Delay => format!("{scope}:delay"),
        }
    }
}

impl Row<'_> {
    fn counts(&self) -> Result<Counts, String> {
        if let Some(state) = self.state.as_deref().filter(|state| !SOUND.contains(state)) {
            return Err(format!("the broker says that it is {:?}", shown(state)));
        }
        let ready = whole("messages_ready", self.messages_ready.as_ref())?;
        let unacknowledged = whole("messages_unacknowledged", self.messages_unacknowledged.as_ref())?;
        Ok(Counts { ready, unacknowledged })
    }
}

fn whole(what: &str, count: Option<&Count>) -> Result<u64, String> {
    match count {
        Some(Count::Whole(number)) => Ok(*number),
        Some(Count::Odd(_)) => Err(format!("`{what}` is no whole number")),
        None => Err(format!(
            "the broker gives no `{what}`, as for some seconds after it or the queue started, or when its statistics \
             are switched off"
        )),
    }
}

fn shown(text: &str) -> String {
    escape(text).chars().take(LONGEST_SHOWN).collect()
}

impl<'de> Deserialize<'de> for Listing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Rows)
    }
}

/// Keeps the rows of fleets only, so that the queues of others take no memory however many they are.
struct Rows;

impl<'de> Visitor<'de> for Rows {
    type Value = Listing;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of queues")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Listing, A::Error> {
        let mut listing = Listing::default();
        while let Some(row) = rows.next_element::<Row<'_>>()? {
            listing.add(&row);
        }
        Ok(listing)
    }
}

#[cfg(test)]
mod tests;
