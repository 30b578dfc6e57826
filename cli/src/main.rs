//! The scrapefleet command.

fn main() {}
