//! Browser sessions, pages and the recipe engine.
