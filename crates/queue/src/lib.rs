//! The durable task queue: its contract and its implementations.
