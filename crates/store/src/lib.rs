//! The artifact store: its contract and its implementations.
