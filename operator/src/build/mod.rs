//! The pods of a fleet, as functions of its manifest.

mod containers;
mod pod;
mod resources;
mod volumes;

pub use pod::{MOST_MANIFEST, Made, build_pod, manifest_json};
