//! Deleting the queues of a fleet that is deleted.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use scrapefleet_policy::within;
use scrapefleet_queue::rabbitmq;

use crate::{
    api::{Doomed, QueueRemoval, Removed},
    broker::{Broker, Credentials, scope},
    observe::{Data, Supply, credentials},
};

/// How long deleting all queues of a fleet may take; what is left by then is deleted in the next look.
const ALL: Duration = Duration::from_secs(40);

/// Deletes queues by the broker's management API.
#[derive(Debug, Clone, Copy, Default)]
pub struct BrokerRemoval;

#[async_trait]
impl QueueRemoval for BrokerRemoval {
    async fn remove(&self, doomed: &Doomed) -> Result<Removed, String> {
        let failed = match &doomed.login {
            None => None,
            Some(login) => match delete(doomed, login).await {
                Ok(()) => return Ok(Removed::All),
                Err(why) => Some(why),
            },
        };
        match &doomed.secret {
            Supply::Found(_) => Err(failed.unwrap_or_else(|| "the Secret was not read yet".to_owned())),
            Supply::Missing(why) | Supply::Unknown(why) => Err(why.clone()),
            // Mostly its namespace is deleted, and the Secret went first. Nobody brings it back, so nothing is waited for.
            Supply::Absent(_) => {
                Ok(Removed::Left(left(doomed, "the Secret that it names is gone", failed.as_deref())))
            }
            Supply::NotNamed => Ok(Removed::Left(left(doomed, "it names no Secret", failed.as_deref()))),
        }
    }
}

async fn delete(doomed: &Doomed, login: &Data) -> Result<(), String> {
    let credentials = credentials(login);
    // What is wrong with the manifest is said in its words.
    Broker::new(&doomed.queue, credentials.clone()).map_err(|error| error.to_string())?;
    let options = options(doomed, credentials);
    let deleted = within(ALL, "deleting the queues of a fleet", Box::pin(rabbitmq::delete(&options))).await;
    deleted.map_err(|expired| expired.to_string())?.map_err(|why| why.to_string())
}

/// What is left behind, why, and what to do. The names come last: there may be more than an event has room for.
fn left(doomed: &Doomed, because: &str, failed: Option<&str>) -> String {
    let scope = scope(&doomed.namespace, doomed.fleet.as_str());
    let failed = failed.map(|why| format!(", and what was in it does not serve ({why})")).unwrap_or_default();
    let lanes = doomed.lanes.iter();
    let lanes = lanes.flat_map(|lane| ["lane", "dead"].map(|of| format!("`{scope}:{of}.{lane}`")));
    let lanes = lanes.collect::<Vec<_>>().join(", ");
    format!(
        "the fleet goes, and its queues stay on the broker at {}: {because}{failed}. To be rid of what is in them, delete there \
         the exchange `{scope}` and every exchange and queue that begins with `{scope}:`, which are `{scope}:journal`, \
         `{scope}:sync`, those of delays, and {lanes}",
        doomed.queue.url
    )
}

/// Whose queues they are. Nothing is declared or consumed with it.
fn options(doomed: &Doomed, credentials: Credentials) -> rabbitmq::Options {
    let Credentials { username, password, ca } = credentials;
    rabbitmq::Options {
        url: doomed.queue.url.clone(),
        management_url: doomed.queue.management_url.clone(),
        username,
        password: rabbitmq::Password::new(password.reveal().to_owned()),
        ca,
        scope: scope(&doomed.namespace, doomed.fleet.as_str()),
        lanes: doomed.lanes.clone(),
        copies: None,
        longest_hold: Duration::ZERO,
        name: "scrapefleet operator".to_owned(),
        now: Arc::new(|| Timestamp::UNIX_EPOCH),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Mutex};

    use axum::{
        Json, Router,
        extract::{Path, Query, State},
        http::StatusCode,
        routing::{delete, get},
    };
    use scrapefleet_api::{
        LaneName,
        queue::{OnDelete, RabbitMqQueue},
    };
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;

    /// What a vhost has: kind and name. One whose name has `unlisted` in it is not listed.
    type Things = Arc<Mutex<Vec<(String, String)>>>;

    /// As a broker does that has just started: nothing runs yet.
    async fn list(
        State(things): State<Things>,
        Path((kind, vhost)): Path<(String, String)>,
        Query(query): Query<HashMap<String, String>>,
    ) -> Json<Value> {
        assert_eq!(vhost, "/");
        assert!(query["name"].starts_with(r"^scrapefleet\.ns\.a$"), "{query:?}");
        let asks_what_runs = query.contains_key("enable_queue_totals");
        let shown = |name: &str| !asks_what_runs && !name.contains("unlisted");
        let things = things.lock().unwrap();
        let rows = things.iter().filter(|(of, name)| *of == kind && shown(name));
        let rows: Vec<_> = rows.map(|(_, name)| json!({ "name": name })).collect();
        Json(json!({ "page_count": 1, "items": rows }))
    }

    async fn take(
        State(things): State<Things>,
        Path((kind, _, name)): Path<(String, String, String)>,
    ) -> StatusCode {
        let mut things = things.lock().unwrap();
        if name.ends_with("lane.locked") {
            return StatusCode::FORBIDDEN;
        }
        if name.ends_with("lane.undying") {
            return StatusCode::NO_CONTENT;
        }
        things.retain(|thing| *thing != (kind.clone(), name.clone()));
        StatusCode::NO_CONTENT
    }

    /// A fleet that is deleted, and the broker that has these things of it.
    async fn doomed(things: &Things) -> Doomed {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let management_url = Some(format!("http://{}", listener.local_addr().unwrap()));
        let router = Router::new()
            .route("/api/{kind}/{vhost}", get(list))
            .route("/api/{kind}/{vhost}/{name}", delete(take))
            .with_state(things.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let queue = RabbitMqQueue {
            url: "amqp://mq".to_owned(),
            management_url,
            secret_name: Some("queue".to_owned()),
            copies: None,
            on_delete: OnDelete::Delete,
        };
        let login = Arc::new(Data::of(&["username", "password"]));
        Doomed {
            namespace: "ns".to_owned(),
            fleet: "a".parse().unwrap(),
            lanes: ["fast", "unlisted"].map(|lane| LaneName::new(lane).unwrap()).into(),
            queue,
            secret: Supply::Found(Arc::clone(&login)),
            login: Some(login),
        }
    }

    fn gone() -> Supply {
        Supply::Absent("there is no Secret `queue`".to_owned())
    }

    /// An address where nobody listens.
    async fn nowhere() -> Option<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Some(format!("http://{}", listener.local_addr().unwrap()))
    }

    fn things(of: &[(&str, &str)]) -> Things {
        Arc::new(Mutex::new(of.iter().map(|(kind, name)| ((*kind).to_owned(), (*name).to_owned())).collect()))
    }

    #[tokio::test]
    async fn what_the_fleet_has_is_deleted_whatever_the_broker_lists() {
        let all = things(&[
            ("exchanges", "scrapefleet.ns.a"),
            ("queues", "scrapefleet.ns.a:lane.of-yesterday"),
            ("queues", "scrapefleet.ns.a:lane.unlisted"),
            ("queues", "scrapefleet.ns.a:journal"),
        ]);
        let doomed = doomed(&all).await;
        assert_eq!(BrokerRemoval.remove(&doomed).await, Ok(Removed::All));
        assert_eq!(*all.lock().unwrap(), []);
        assert_eq!(BrokerRemoval.remove(&doomed).await, Ok(Removed::All));
    }

    #[tokio::test]
    async fn what_may_not_be_deleted_is_an_error() {
        let doomed = doomed(&things(&[("queues", "scrapefleet.ns.a:lane.locked")])).await;
        let why = BrokerRemoval.remove(&doomed).await.unwrap_err();
        assert!(why.contains("403") && why.contains("lane"), "{why}");
    }

    #[tokio::test]
    async fn what_is_there_after_it_was_deleted_is_an_error() {
        let doomed = doomed(&things(&[("queues", "scrapefleet.ns.a:lane.undying")])).await;
        let why = BrokerRemoval.remove(&doomed).await.unwrap_err();
        assert!(why.contains("lane.undying") && why.contains("is there still"), "{why}");
    }

    #[tokio::test]
    async fn a_secret_that_went_first_is_remembered() {
        for secret in [gone(), Supply::Unknown("forbidden".to_owned()), Supply::NotNamed] {
            let all = things(&[("queues", "scrapefleet.ns.a:journal")]);
            let doomed = Doomed { secret, ..doomed(&all).await };
            assert_eq!(BrokerRemoval.remove(&doomed).await, Ok(Removed::All));
            assert_eq!(*all.lock().unwrap(), []);
        }
    }

    #[tokio::test]
    async fn queues_that_nobody_can_delete_any_more_are_named() {
        let all = things(&[("queues", "scrapefleet.ns.a:journal")]);
        for secret in [gone(), Supply::NotNamed] {
            let doomed = Doomed { secret, login: None, ..doomed(&all).await };
            let Ok(Removed::Left(said)) = BrokerRemoval.remove(&doomed).await else { panic!("nothing left") };
            for part in ["amqp://mq", "Secret", "`scrapefleet.ns.a`", "`scrapefleet.ns.a:lane.fast`"] {
                assert!(said.contains(part), "{part}: {said}");
            }
        }
        assert_eq!(all.lock().unwrap().len(), 1, "nothing was asked");
    }

    #[tokio::test]
    async fn a_broker_that_went_with_the_secret_keeps_no_fleet_and_one_that_is_away_does() {
        let mut doomed = doomed(&things(&[])).await;
        doomed.queue.management_url = nowhere().await;
        let why = BrokerRemoval.remove(&doomed).await.unwrap_err();
        assert!(why.contains("cannot be reached"), "{why}");
        doomed.secret = gone();
        let Ok(Removed::Left(said)) = BrokerRemoval.remove(&doomed).await else { panic!("nothing left") };
        assert!(said.contains("does not serve") && said.contains("cannot be reached"), "{said}");
    }

    #[tokio::test]
    async fn a_secret_that_may_come_is_waited_for() {
        for secret in [Supply::Unknown("not read".to_owned()), Supply::Missing("no key".to_owned())] {
            let doomed = Doomed { secret, login: None, ..doomed(&things(&[])).await };
            let why = BrokerRemoval.remove(&doomed).await.unwrap_err();
            assert!(why == "not read" || why == "no key", "{why}");
        }
    }
}
