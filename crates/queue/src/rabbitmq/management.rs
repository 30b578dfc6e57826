//! The broker's management API: depths, living sessions, and deleting a fleet's queues.
//!
//! Counts of quorum queues are those of the queue's last tick, up to five seconds ago by the broker's defaults, whichever
//! of the API's ways of asking is used (measured on 4.0.5). They are of one moment for each queue, so that a task on its
//! way from ready to held is never counted as neither.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use scrapefleet_api::LaneName;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Options, http::Http, names::Names, options::Address};
use crate::{Depth, QueueError};

/// The most queues in one answer: the API allows no more.
const PAGE: usize = 500;

/// Asks what is in queues. It is the queues that answer: where none runs yet, as just after a start of the broker, there
/// seem to be none.
const COUNTS: &str = "columns=name,messages,messages_ready,messages_unacknowledged&disable_stats=true\
                      &enable_queue_totals=true";

/// Asks which queues run.
const RUNNING: &str = "columns=name&disable_stats=true&enable_queue_totals=true";

/// Asks what was declared, which the broker knows whether it runs or not.
const DECLARED: &str = "columns=name&disable_stats=true";

/// The same, with how.
const DECLARED_HOW: &str = "columns=name,arguments&disable_stats=true";

/// A client of the management API for one vhost.
pub(super) struct Management {
    http: Http,
    root: String,
    vhost: String,
}

/// One page of a list.
#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    page_count: usize,
}

/// What is asked of a queue. A queue that is younger than a tick has no counts yet.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counted {
    name: String,
    messages: u64,
    messages_ready: u64,
    messages_unacknowledged: u64,
}

/// How a queue was made.
#[derive(Deserialize)]
struct Made {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// How many tasks are where. What is delayed is not known by lane.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) lanes: BTreeMap<LaneName, Depth>,
    pub(super) delayed: u64,
}

impl Totals {
    /// All lanes together.
    pub(super) fn sum(self) -> Depth {
        let sum = self.lanes.into_values().fold(Depth::default(), |sum, lane| sum + lane);
        Depth { delayed: self.delayed, ..sum }
    }
}

impl std::fmt::Debug for Management {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Management")
            .field("root", &self.root)
            .field("vhost", &self.vhost)
            .finish_non_exhaustive()
    }
}

impl Management {
    /// A client; refused when the certificates cannot be read. Nothing is asked yet.
    pub(super) fn of(options: &Options, address: &Address) -> Result<Self, QueueError> {
        let http = Http::of(options, address).map_err(|why| {
            QueueError::Refused(format!("the management API at {}: {why}", address.management))
        })?;
        let vhost = utf8_percent_encode(&address.vhost, NON_ALPHANUMERIC).to_string();
        Ok(Self { http, root: address.management.clone(), vhost })
    }

    /// How many tasks of a fleet are where, by one request.
    pub(super) async fn totals(&self, names: &Names) -> Result<Totals, QueueError> {
        let pattern = names.pattern(&["lane", "dead", "delay"]);
        let queues: Vec<Counted> = self.list("queues", &pattern, COUNTS).await?;
        Ok(total(names, &queues))
    }

    /// The lanes' queues, and after how many milliseconds without a finish each takes a task away. None: it was made
    /// without a word about that.
    pub(super) async fn timeouts(&self, names: &Names) -> Result<Vec<(String, Option<i64>)>, QueueError> {
        let queues: Vec<Made> = self.list("queues", &names.pattern(&["lane"]), DECLARED_HOW).await?;
        let timeout = |queue: &Made| queue.arguments.get("x-consumer-timeout").and_then(Value::as_i64);
        Ok(queues.into_iter().map(|queue| (queue.name.clone(), timeout(&queue))).collect())
    }

    /// The sessions that live.
    pub(super) async fn sessions(&self, names: &Names) -> Result<HashSet<String>, QueueError> {
        let queues: Vec<Counted> = self.list("queues", &names.pattern(&["session"]), RUNNING).await?;
        let session = |queue: &Counted| names.read(&queue.name).map(|(_, id)| id.to_owned());
        Ok(queues.iter().filter_map(session).collect())
    }

    /// Deletes every queue and exchange of a fleet with all that is in them: those that one with these lanes has, whatever is
    /// listed, and those that are listed, as of lanes that it had once. None of them is there when this succeeds.
    pub(super) async fn delete(&self, names: &Names, lanes: &[LaneName]) -> Result<(), QueueError> {
        // Exchanges first, so that nothing new comes into the queues.
        for (kind, known) in [("exchanges", names.exchanges()), ("queues", names.queues(lanes))] {
            let listed = self.declared(kind, names).await?;
            for name in listed.into_iter().chain(known).collect::<BTreeSet<_>>() {
                self.delete_one(kind, &name).await?;
            }
            if let Some(left) = self.declared(kind, names).await?.first() {
                return Err(
                    self.unreachable(kind, &format!("`{left}` was deleted and is there still, or again"))
                );
            }
        }
        Ok(())
    }

    /// Deletes one queue or exchange, if it is there.
    async fn delete_one(&self, kind: &str, name: &str) -> Result<(), QueueError> {
        let path = format!("{kind}/{}/{}", self.vhost, utf8_percent_encode(name, NON_ALPHANUMERIC));
        let (status, _) = self.ask(Method::DELETE, &path, "").await?;
        let gone = status.is_success() || status == StatusCode::NOT_FOUND;
        if gone { Ok(()) } else { Err(self.refusal(&path, status)) }
    }

    /// The names of the fleet's durable queues or exchanges, running or not.
    async fn declared(&self, kind: &str, names: &Names) -> Result<Vec<String>, QueueError> {
        let found: Vec<Counted> = self.list(kind, &names.durable(), DECLARED).await?;
        Ok(found.into_iter().map(|found| found.name).collect())
    }

    async fn list<T: DeserializeOwned>(
        &self,
        kind: &str,
        pattern: &str,
        asked: &str,
    ) -> Result<Vec<T>, QueueError> {
        let path = format!("{kind}/{}", self.vhost);
        let pattern = utf8_percent_encode(pattern, NON_ALPHANUMERIC);
        let (mut all, mut page) = (Vec::new(), 1);
        loop {
            let query = format!("?name={pattern}&use_regex=true&page={page}&page_size={PAGE}&{asked}");
            let (status, body) = self.ask(Method::GET, &path, &query).await?;
            if !status.is_success() {
                return Err(self.refusal(&path, status));
            }
            let answer: Page<T> =
                serde_json::from_slice(&body).map_err(|error| self.unreachable(&path, &error.to_string()))?;
            all.extend(answer.items);
            if page >= answer.page_count {
                return Ok(all);
            }
            page += 1;
        }
    }

    async fn ask(&self, method: Method, path: &str, query: &str) -> Result<(StatusCode, Bytes), QueueError> {
        let url = format!("{}/api/{path}{query}", self.root);
        self.http.ask(method, &url).await.map_err(|why| self.unreachable(path, &why))
    }

    fn unreachable(&self, path: &str, why: &str) -> QueueError {
        QueueError::Unreachable(format!("the management API at {}/api/{path}: {why}", self.root))
    }

    fn refusal(&self, path: &str, status: StatusCode) -> QueueError {
        let what = format!("the management API at {}/api/{path} answered {status}", self.root);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => QueueError::Refused(format!(
                "{what}. Check the user name and password, and that the user has the tag `management`"
            )),
            StatusCode::NOT_FOUND => QueueError::Refused(format!("{what}. Check its address and the vhost")),
            _ => QueueError::Unreachable(what),
        }
    }
}

/// The sums of a fleet's queues.
fn total(names: &Names, queues: &[Counted]) -> Totals {
    let mut totals = Totals::default();
    for queue in queues {
        let Some((word, name)) = names.read(&queue.name) else { continue };
        if word == "delay" {
            totals.delayed += queue.messages;
            continue;
        }
        let Ok(lane) = LaneName::new(name) else { continue };
        let depth = totals.lanes.entry(lane).or_default();
        match word {
            "lane" => (depth.ready, depth.held) = (queue.messages_ready, queue.messages_unacknowledged),
            "dead" => depth.dead = queue.messages,
            _ => {}
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(name: &str, ready: u64, unacked: u64) -> Counted {
        let messages = ready + unacked;
        Counted { name: name.to_owned(), messages, messages_ready: ready, messages_unacknowledged: unacked }
    }

    #[test]
    fn each_queue_counts_as_what_it_is() {
        let queues = [
            counted("s:lane.a", 3, 2),
            counted("s:dead.a", 1, 1),
            counted("s:delay.0", 4, 0),
            counted("s:delay.16", 1, 1),
            counted("s:lane.b", 7, 0),
            counted("other:lane.b", 100, 100),
        ];
        let totals = total(&Names::new("s".to_owned()), &queues);
        let lane = |name: &str| totals.lanes[&LaneName::new(name).unwrap()].clone();
        assert_eq!(lane("a"), Depth { ready: 3, held: 2, delayed: 0, dead: 2 });
        assert_eq!(lane("b"), Depth { ready: 7, held: 0, delayed: 0, dead: 0 });
        assert_eq!((totals.lanes.len(), totals.delayed), (2, 6));
    }
}
