//! The ScrapeFleet resource: types, defaults and rules.
//!
//! One type serves two readers. On Kubernetes [`ScrapeFleet`] is a custom resource whose schema and CEL rules
//! the API server enforces; on one machine it is a file, read by [`manifest::load`], which enforces the same
//! schema and the same rules.

pub mod address;
pub mod bots;
pub mod crd;
pub mod duration;
pub mod fleet;
pub mod id;
pub mod inspect;
pub mod item;
pub mod lane;
pub mod manifest;
mod pattern;
pub mod pods;
pub mod policies;
pub mod politeness;
pub mod queue;
pub mod recipe;
pub mod reference;
pub mod rollout;
mod schema;
pub mod site;
pub mod status;
pub mod store;
pub mod template;
pub mod watcher;

pub use duration::Period;
pub use fleet::{ScrapeFleet, ScrapeFleetSpec, ScrapeFleetStatus};
pub use id::{FleetName, ItemId, LaneName};
