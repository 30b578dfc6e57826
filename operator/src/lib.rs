//! The operator: makes what a ScrapeFleet says true.

pub mod observed;

pub use observed::Observed;
