//! The engine against a real Chrome. At most two Chromes run at once.

#![expect(clippy::unwrap_used, reason = "all of it is test code, its helpers too")]

mod contract;
mod faults;
mod list;
mod rooms;
mod site;
mod slow;
mod support;
mod tabs;
