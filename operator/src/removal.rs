//! Deleting the queues of a fleet that is deleted.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use scrapefleet_api::LaneName;
use scrapefleet_policy::within;
use scrapefleet_queue::rabbitmq;

use crate::{
    api::{Doomed, QueueRemoval},
    broker::{Broker, Credentials, scope},
    observe::{Supply, credentials},
};

/// How long deleting all queues of a fleet may take; what is left by then is deleted in the next look.
const ALL: Duration = Duration::from_secs(40);

/// Deletes queues by the broker's management API.
#[derive(Debug, Clone, Copy, Default)]
pub struct BrokerRemoval;

#[async_trait]
impl QueueRemoval for BrokerRemoval {
    async fn remove(&self, doomed: &Doomed) -> Result<(), String> {
        let data = match &doomed.secret {
            Supply::Found(data) => data,
            Supply::Missing(why) | Supply::Unknown(why) => return Err(why.clone()),
            Supply::NotNamed => return Err("the fleet names no Secret of the broker".to_owned()),
        };
        let credentials = credentials(data);
        // What is wrong with the manifest is said in its words.
        Broker::new(&doomed.queue, credentials.clone()).map_err(|error| error.to_string())?;
        let options = options(doomed, credentials);
        let removed =
            within(ALL, "deleting the queues of a fleet", Box::pin(rabbitmq::delete(&options))).await;
        removed.map_err(|expired| expired.to_string())?.map_err(|why| why.to_string())
    }
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
        lanes: vec![LaneName::default()],
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
    use scrapefleet_api::queue::{OnDelete, RabbitMqQueue};
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;
    use crate::observe::Data;

    /// What a vhost has: kind and name.
    type Things = Arc<Mutex<Vec<(String, String)>>>;

    async fn list(
        State(things): State<Things>,
        Path((kind, vhost)): Path<(String, String)>,
        Query(query): Query<HashMap<String, String>>,
    ) -> Json<Value> {
        assert_eq!(vhost, "/");
        assert!(query["name"].starts_with(r"^scrapefleet\.ns\.a$"), "{query:?}");
        let things = things.lock().unwrap();
        let rows = things.iter().filter(|(of, _)| *of == kind).map(|(_, name)| json!({ "name": name }));
        Json(json!({ "page_count": 1, "items": rows.collect::<Vec<_>>() }))
    }

    async fn take(
        State(things): State<Things>,
        Path((kind, _, name)): Path<(String, String, String)>,
    ) -> StatusCode {
        let mut things = things.lock().unwrap();
        if name.ends_with("lane.locked") {
            return StatusCode::FORBIDDEN;
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
        let secret = Supply::Found(Arc::new(Data::of(&["username", "password"])));
        Doomed { namespace: "ns".to_owned(), fleet: "a".parse().unwrap(), queue, secret }
    }

    fn things(of: &[(&str, &str)]) -> Things {
        Arc::new(Mutex::new(of.iter().map(|(kind, name)| ((*kind).to_owned(), (*name).to_owned())).collect()))
    }

    #[tokio::test]
    async fn what_the_fleet_has_is_deleted() {
        let all = things(&[
            ("exchanges", "scrapefleet.ns.a"),
            ("queues", "scrapefleet.ns.a:lane.x"),
            ("queues", "scrapefleet.ns.a:journal"),
        ]);
        let doomed = doomed(&all).await;
        BrokerRemoval.remove(&doomed).await.unwrap();
        assert_eq!(*all.lock().unwrap(), []);
        BrokerRemoval.remove(&doomed).await.unwrap();
    }

    #[tokio::test]
    async fn what_may_not_be_deleted_is_an_error() {
        let doomed = doomed(&things(&[("queues", "scrapefleet.ns.a:lane.locked")])).await;
        let why = BrokerRemoval.remove(&doomed).await.unwrap_err();
        assert!(why.contains("403") && why.contains("lane"), "{why}");
    }

    #[tokio::test]
    async fn without_a_secret_nothing_is_asked() {
        let mut doomed = doomed(&things(&[])).await;
        doomed.secret = Supply::NotNamed;
        assert!(BrokerRemoval.remove(&doomed).await.unwrap_err().contains("no Secret"));
    }
}
