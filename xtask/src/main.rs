//! Tasks of the project itself: set-up, demo, tests, benches.

fn main() {}
