//! What is made of the types and committed must be what the types make now.

use std::{fs, path::Path};

use scrapefleet_api::{crd, manifest, reference};

fn committed(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap_or_default()
}

const REGENERATE: &str =
    "is not what the types make; run `cargo run -p scrapefleet-api --bin crdgen` and commit it";

#[test]
fn the_crd_is_fresh() {
    assert!(committed("crds/scrapefleets.yaml") == crd::yaml(), "crds/scrapefleets.yaml {REGENERATE}");
}

#[test]
fn the_reference_is_fresh() {
    assert!(committed("docs/manifest.md") == reference::markdown(), "docs/manifest.md {REGENERATE}");
}

#[test]
fn the_examples_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut count = 0;
    for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|e| e == "yaml") {
            let fleet = manifest::load_bytes(&fs::read(&file).unwrap(), &[]);
            let fleet = fleet.unwrap_or_else(|problems| panic!("{}:\n{problems}", file.display()));
            assert!(fleet.fleet_name().is_ok());
            count += 1;
        }
    }
    assert!(count > 0);
}
