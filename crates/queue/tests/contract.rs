//! Every implementation against the contract.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod harness;
mod scratch;

mod memory {
    use super::harness::InMemory;
    scrapefleet_queue::queue_contract!(InMemory::start());
}

mod embedded {
    use super::harness::InFile;
    scrapefleet_queue::queue_contract!(InFile::start().await);
}
