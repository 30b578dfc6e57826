//! The broker's management API: depths, living sessions, and deleting a fleet's queues.
//!
//! Counts of quorum queues are those of the queue's last tick, up to five seconds ago by the broker's defaults, whichever
//! of the API's ways of asking is used (measured on 4.0.5). They are of one moment for each queue, so that a task on its
//! way from ready to held is never counted as neither.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, StatusCode};
use scrapefleet_api::LaneName;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    Options,
    names::Names,
    options::{Address, Password},
};
use crate::{Depth, QueueError};

/// How long one request may take.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// The most queues in one answer: the API allows no more.
const PAGE: usize = 500;

/// What is read of a queue to count what is in it.
const COUNTS: &str = "name,messages,messages_ready,messages_unacknowledged";

/// A client of the management API for one vhost.
pub(super) struct Management {
    http: Client,
    root: String,
    vhost: String,
    username: String,
    password: Password,
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
        let refuse =
            |why: String| QueueError::Refused(format!("the management API at {}: {why}", address.management));
        // The provider may have been named before, by this or another part of the program.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().timeout(REQUEST_WITHIN);
        // The password goes to nobody else.
        builder = builder.no_proxy().redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &options.ca {
            let certificates = reqwest::Certificate::from_pem_bundle(pem);
            let certificates =
                certificates.map_err(|e| refuse(format!("the authorities' certificates: {e}")))?;
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let http = builder.build().map_err(|e| refuse(e.to_string()))?;
        Ok(Self {
            http,
            root: address.management.clone(),
            vhost: utf8_percent_encode(&address.vhost, NON_ALPHANUMERIC).to_string(),
            username: options.username.clone(),
            password: options.password.clone(),
        })
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
        let queues: Vec<Made> = self.list("queues", &names.pattern(&["lane"]), "name,arguments").await?;
        let timeout = |queue: &Made| queue.arguments.get("x-consumer-timeout").and_then(Value::as_i64);
        Ok(queues.into_iter().map(|queue| (queue.name.clone(), timeout(&queue))).collect())
    }

    /// The sessions that live.
    pub(super) async fn sessions(&self, names: &Names) -> Result<HashSet<String>, QueueError> {
        let queues: Vec<Counted> = self.list("queues", &names.pattern(&["session"]), "name").await?;
        let session = |queue: &Counted| names.read(&queue.name).map(|(_, id)| id.to_owned());
        Ok(queues.iter().filter_map(session).collect())
    }

    /// Deletes every queue and exchange of a fleet with all that is in them.
    pub(super) async fn delete(&self, names: &Names) -> Result<(), QueueError> {
        // Exchanges first, so that nothing new comes into the queues.
        for kind in ["exchanges", "queues"] {
            let found: Vec<Counted> = self.list(kind, &names.durable(), "name").await?;
            for Counted { name, .. } in found {
                let name = utf8_percent_encode(&name, NON_ALPHANUMERIC);
                let path = format!("{kind}/{}/{name}", self.vhost);
                let answer = self.ask(Method::DELETE, &path, &[]).await?;
                if !answer.status().is_success() && answer.status() != StatusCode::NOT_FOUND {
                    return Err(self.refusal(&path, answer.status()));
                }
            }
        }
        Ok(())
    }

    async fn list<T: DeserializeOwned>(
        &self,
        kind: &str,
        pattern: &str,
        columns: &str,
    ) -> Result<Vec<T>, QueueError> {
        let path = format!("{kind}/{}", self.vhost);
        let size = PAGE.to_string();
        let (mut all, mut page) = (Vec::new(), 1);
        loop {
            let number = page.to_string();
            let query = [
                ("name", pattern),
                ("use_regex", "true"),
                ("page", &number),
                ("page_size", &size),
                ("columns", columns),
                ("disable_stats", "true"),
                ("enable_queue_totals", "true"),
            ];
            let answer = self.ask(Method::GET, &path, &query).await?;
            if !answer.status().is_success() {
                return Err(self.refusal(&path, answer.status()));
            }
            let answer: Page<T> = answer.json().await.map_err(|e| self.unreachable(&path, &e))?;
            all.extend(answer.items);
            if page >= answer.page_count {
                return Ok(all);
            }
            page += 1;
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<reqwest::Response, QueueError> {
        let request = self.http.request(method, format!("{}/api/{path}", self.root)).query(query);
        let request = request.basic_auth(&self.username, Some(self.password.reveal()));
        request.send().await.map_err(|e| self.unreachable(path, &e))
    }

    fn unreachable(&self, path: &str, error: &reqwest::Error) -> QueueError {
        // The innermost says what happened, such as that the connection was refused.
        let mut source: &dyn std::error::Error = error;
        while let Some(inner) = source.source() {
            source = inner;
        }
        QueueError::Unreachable(format!("the management API at {}/api/{path}: {source}", self.root))
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
