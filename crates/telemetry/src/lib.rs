//! Logging, metrics registry and health endpoints.
