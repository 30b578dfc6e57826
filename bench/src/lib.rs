//! Benches of the project, each figure beside its bound.
//!
//! A suite is a list of [`Measurement`]s; each returns [`Figure`]s, and all of them make a [`Report`].

mod figure;
pub mod local;
mod report;
pub mod suite;

pub use figure::{Bound, Figure};
pub use report::Report;
pub use suite::Measurement;
