//! Deadlines, retries, fallbacks, abandonment and circuit breakers as values that compose.
