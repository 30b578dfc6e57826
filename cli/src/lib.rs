//! The scrapefleet command.
