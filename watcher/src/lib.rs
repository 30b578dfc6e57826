//! The watcher: keeps a list open and queues every item it has not seen.
