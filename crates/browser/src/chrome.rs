//! Chrome: where it is and how it is started.

mod capabilities;
mod find;

pub use find::{NoProgram, find_chrome, find_driver};

pub(crate) use capabilities::{Launch, capabilities};
