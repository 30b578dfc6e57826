//! Chaos: faults done to a fleet at work on a real cluster, and what became of its items.
//!
//! A [`Scenario`] is one fault. The [`ring`] starts a fleet on a site with players, does faults to it one after the other or at
//! the times of a seeded [`schedule`], and has an [`observer`] write down what every pod says of itself meanwhile. When
//! all is done, [`effect`] reads off that record when each fault was noticed and when its items were held again, and
//! [`books`] accounts for every battle that the site's server logged. [`report`] is what a person gets.
//!
//! Faults are done to processes and nodes of this machine, so the cluster must be one of `cargo xtask cluster`.

pub mod books;
pub mod effect;
pub mod harm;
pub mod history;
pub mod observer;
pub mod report;
pub mod ring;
pub mod scenario;
pub mod schedule;

pub use scenario::Scenario;
