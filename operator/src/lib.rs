//! The operator: makes what a ScrapeFleet says true.

pub mod broker;
pub mod lease;
pub mod observed;
pub mod plan;

pub use observed::Observed;
