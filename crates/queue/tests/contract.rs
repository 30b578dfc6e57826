//! Every implementation against the contract.

mod harness;
mod scratch;

mod memory {
    use super::harness::InMemory;
    scrapefleet_queue::queue_contract!(InMemory::start().await);
}

mod embedded {
    use super::harness::InFile;
    scrapefleet_queue::queue_contract!(InFile::start().await);
}
