//! A scripted site for tests of what drives browsers: items with scheduled lives, and mishaps on demand.
//!
//! Time is tokio's, so a test with paused time sees a 45-minute item in no time. A [`FakeSite`] is shared between the
//! test, which schedules, and the browsers that its [`BrowserFactory`](crate::BrowserFactory) makes; every call is recorded in
//! [`FakeSite::events`].

mod browser;
#[cfg(test)]
mod contract;
mod life;
mod list;
mod site;
#[cfg(test)]
mod tests;

pub use life::{Life, Mishap};
pub use site::{Event, FakeSite, What};
