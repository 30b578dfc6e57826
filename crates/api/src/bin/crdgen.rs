//! Writes what is made of the types: `crds/scrapefleets.yaml` and `docs/manifest.md`.

use std::{fs, io, path::Path};

use scrapefleet_api::{crd, reference};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::create_dir_all(root.join("crds"))?;
    fs::write(root.join("crds/scrapefleets.yaml"), crd::yaml())?;
    fs::create_dir_all(root.join("docs"))?;
    fs::write(root.join("docs/manifest.md"), reference::markdown())
}
