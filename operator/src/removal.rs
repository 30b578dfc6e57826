//! Deleting the queues of a fleet that is deleted.

use std::time::Duration;

use async_trait::async_trait;
use scrapefleet_policy::within;

use crate::{
    api::{Doomed, QueueRemoval},
    broker::{self, Broker, Fleet},
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
        let fleet =
            Fleet { namespace: doomed.namespace.clone(), name: doomed.fleet.clone(), lanes: Vec::new() };
        let broker = Broker::new(&doomed.queue, credentials(data)).map_err(|error| error.to_string())?;
        let removed =
            within(ALL, "deleting the queues of a fleet", Box::pin(broker::remove(&broker, &fleet))).await;
        removed.map_err(|expired| expired.to_string())?.map_err(|why| why.to_string())
    }
}
