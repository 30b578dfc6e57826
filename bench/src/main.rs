//! Benches of the project, each figure beside its bound.

fn main() {}
