//! Deleting what a fleet has on a broker.

use super::{Broker, Fleet, Unread, management::Management, names};

/// Deletes all queues and exchanges of the fleet with all that is in them. What is not there is no error, so that it
/// may be done again. Each call has three seconds; the whole has no deadline.
pub(super) async fn remove(broker: &Broker, fleet: &Fleet) -> Result<(), Unread> {
    let management = Management::new(broker.clone())?;
    let scope = names::scope(&fleet.namespace, fleet.name.as_str());
    // Exchanges first, so that nothing new comes into the queues.
    for kind in ["exchanges", "queues"] {
        let there = management.names(kind).await?;
        for name in there.iter().filter(|name| names::is_durable(name, &scope)) {
            management.delete(kind, name).await?;
            tracing::info!(at = broker.at, kind, name, "deleted for a fleet that is deleted");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{
        Json, Router,
        extract::{Path, State},
        http::StatusCode,
        routing::{delete, get},
    };
    use scrapefleet_api::queue::{OnDelete, RabbitMqQueue};
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;
    use crate::broker::{Credentials, Password};

    /// What a vhost has: kind and name.
    type Things = Arc<Mutex<Vec<(String, String)>>>;

    async fn list(State(things): State<Things>, Path((kind, vhost)): Path<(String, String)>) -> Json<Value> {
        assert_eq!(vhost, "/");
        let things = things.lock().unwrap();
        let rows = things.iter().filter(|(of, _)| *of == kind).map(|(_, name)| json!({ "name": name }));
        Json(rows.collect())
    }

    async fn take(
        State(things): State<Things>,
        Path((kind, _, name)): Path<(String, String, String)>,
    ) -> StatusCode {
        let mut things = things.lock().unwrap();
        if name.ends_with("lane.locked") {
            return StatusCode::FORBIDDEN;
        }
        assert!(
            kind == "exchanges" || !things.iter().any(|(kind, _)| kind == "exchanges"),
            "queues come last"
        );
        things.retain(|thing| *thing != (kind.clone(), name.clone()));
        // As if somebody else had been faster.
        if name.ends_with(":sync") { StatusCode::NOT_FOUND } else { StatusCode::NO_CONTENT }
    }

    /// A broker with these things.
    async fn broker(things: &Things) -> Broker {
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
            secret_name: None,
            copies: None,
            on_delete: OnDelete::Delete,
        };
        let credentials = Credentials { username: "u".to_owned(), password: Password::new("p"), ca: None };
        Broker::new(&queue, credentials).unwrap()
    }

    fn things(kind: &str, names: &[&str]) -> Vec<(String, String)> {
        names.iter().map(|name| (kind.to_owned(), (*name).to_owned())).collect()
    }

    fn fleet() -> Fleet {
        Fleet { namespace: "ns".to_owned(), name: "a".parse().unwrap(), lanes: Vec::new() }
    }

    #[tokio::test]
    async fn everything_of_the_fleet_goes_and_nothing_of_others() {
        let others =
            ["scrapefleet.ns.a.b:lane.x", "scrapefleet.ns.ab:lane.x", "orders", "scrapefleet.ns.a:session.1"];
        let own = [
            "scrapefleet.ns.a:lane.x",
            "scrapefleet.ns.a:dead.x",
            "scrapefleet.ns.a:delay.0",
            "scrapefleet.ns.a:sync",
        ];
        let exchanges =
            things("exchanges", &["scrapefleet.ns.a", "scrapefleet.ns.a:due", "scrapefleet.ns.a:delay.0"]);
        let all: Things =
            Arc::new(Mutex::new([exchanges, things("queues", &own), things("queues", &others)].concat()));
        let broker = broker(&all).await;
        remove(&broker, &fleet()).await.unwrap();
        assert_eq!(*all.lock().unwrap(), things("queues", &others));
        remove(&broker, &fleet()).await.unwrap();
    }

    #[tokio::test]
    async fn a_queue_that_may_not_be_deleted_is_an_error() {
        let all: Things = Arc::new(Mutex::new(things("queues", &["scrapefleet.ns.a:lane.locked"])));
        let why = remove(&broker(&all).await, &fleet()).await.unwrap_err();
        assert!(matches!(why, Unread::Denied { .. }), "{why}");
    }
}
