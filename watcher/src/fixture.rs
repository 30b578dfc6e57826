//! Items for the tests beside the code.

use scrapefleet_api::{FleetName, ItemId, LaneName};
use scrapefleet_browser::Item;
use scrapefleet_queue::{Task, task::SCHEMA_VERSION};

pub(crate) fn item(number: usize) -> Item {
    Item { id: ItemId::new(format!("i{number}")).unwrap(), url: format!("http://site.test/{number}") }
}

pub(crate) fn task(item: &Item) -> Task {
    Task {
        schema_version: SCHEMA_VERSION,
        fleet: FleetName::new("fleet").unwrap(),
        id: item.id.clone(),
        url: item.url.clone(),
        lane: LaneName::default(),
        discovered_at: jiff::Timestamp::UNIX_EPOCH,
        attempt: 1,
        deadline: None,
        last_failure: None,
        extra: serde_json::Map::new(),
    }
}
