//! The engine against a real Chrome. At most two Chromes run at once.

mod faults;
mod list;
mod rooms;
mod site;
mod support;
mod tabs;
