//! The store of built images: a folder in the OCI image layout, shared by all checkouts of this machine. A layer is in
//! it once, however many images have it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::files;

/// How many builds of one image are kept.
const KEPT: usize = 4;
/// The annotation a reference is kept in.
const REFERENCE: &str = "org.opencontainers.image.ref.name";
/// The annotation containerd takes an image's name from.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// The folder of built images.
#[derive(Debug, Clone)]
pub(crate) struct ImageStore {
    folder: PathBuf,
}

/// An image in the store: the digest of its manifest and of everything that the manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The digest of the manifest, `sha256:…`.
    pub(crate) digest: String,
    /// The digests of the manifest, the configuration and the layers.
    pub(crate) blobs: Vec<String>,
    descriptor: Value,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

impl ImageStore {
    /// The store in this folder.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where buildah pushes an image to.
    pub(crate) fn destination(&self, reference: &str) -> String {
        format!("oci:{}:{reference}", self.folder.display())
    }

    /// The image of this reference, if it is there whole.
    pub(crate) fn find(&self, reference: &str) -> Result<Option<Stored>> {
        let Some(descriptor) =
            self.index()?.into_iter().find(|entry| entry["annotations"][REFERENCE] == reference)
        else {
            return Ok(None);
        };
        let digest = descriptor["digest"].as_str().unwrap_or_default().to_owned();
        let mut blobs = vec![digest.clone()];
        if !self.blob(&digest).exists() {
            return Ok(None);
        }
        blobs.extend(self.named_by(&digest)?);
        let whole = blobs.iter().all(|blob| self.blob(blob).exists());
        Ok(whole.then_some(Stored { digest, blobs, descriptor }))
    }

    /// The file of a blob.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        self.folder.join(blob_path(digest))
    }

    /// Deletes old builds, and the blobs that no build needs any more.
    pub(crate) fn prune(&self) -> Result<()> {
        let entries = keep_newest(&self.index()?);
        let mut needed = BTreeSet::new();
        for entry in &entries {
            let digest = entry["digest"].as_str().unwrap_or_default();
            needed.insert(digest.to_owned());
            needed.extend(self.named_by(digest)?);
        }
        let index = json!({ "schemaVersion": 2, "manifests": entries });
        files::write(&self.folder.join("index.json"), &index.to_string())?;
        for name in files::names_in(&self.folder.join("blobs/sha256"))? {
            if !needed.contains(&format!("sha256:{name}")) {
                files::remove(&self.folder.join("blobs/sha256").join(name))?;
            }
        }
        Ok(())
    }

    /// What a manifest names: its configuration and its layers.
    fn named_by(&self, digest: &str) -> Result<Vec<String>> {
        let path = self.blob(digest);
        let manifest: Manifest = serde_json::from_str(&files::read(&path)?)
            .with_context(|| format!("{}: not an image manifest", path.display()))?;
        Ok([manifest.config].into_iter().chain(manifest.layers).map(|descriptor| descriptor.digest).collect())
    }

    fn index(&self) -> Result<Vec<Value>> {
        let path = self.folder.join("index.json");
        if !path.exists() {
            return Ok(Vec::new());
        }
        let index: Value =
            serde_json::from_str(&files::read(&path)?).with_context(|| format!("read {}", path.display()))?;
        Ok(index["manifests"].as_array().cloned().unwrap_or_default())
    }
}

impl Stored {
    /// The index of an archive that holds this image alone, under the name that pods use.
    pub(crate) fn index_for(&self, name: &str) -> String {
        let mut descriptor = self.descriptor.clone();
        descriptor["annotations"] = json!({ CONTAINERD_NAME: name });
        json!({ "schemaVersion": 2, "manifests": [descriptor] }).to_string()
    }
}

/// Where a blob is in a layout.
pub(crate) fn blob_path(digest: &str) -> PathBuf {
    Path::new("blobs").join(digest.replacen(':', "/", 1))
}

/// The newest builds of each image: references are `name-key`, and the index is in the order they were pushed.
fn keep_newest(entries: &[Value]) -> Vec<Value> {
    let image = |entry: &Value| {
        let reference = entry["annotations"][REFERENCE].as_str().unwrap_or_default();
        reference.rsplit_once('-').map(|(name, _)| name.to_owned()).unwrap_or_default()
    };
    let images: Vec<String> = entries.iter().map(image).collect();
    let newer = |at: usize| images[at + 1..].iter().filter(|other| **other == images[at]).count();
    entries
        .iter()
        .enumerate()
        .filter(|(at, _)| !images[*at].is_empty() && newer(*at) < KEPT)
        .map(|(_, entry)| entry.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with images of these references, each with a layer of its own and one that all share.
    fn store(references: &[&str]) -> (tempfile::TempDir, ImageStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = ImageStore::new(folder.path().to_path_buf());
        let mut entries = Vec::new();
        for reference in references {
            let manifest = json!({
                "config": { "digest": format!("sha256:config-{reference}") },
                "layers": [{ "digest": "sha256:shared" }, { "digest": format!("sha256:layer-{reference}") }],
            });
            let digest = format!("sha256:manifest-{reference}");
            files::write(&store.blob(&digest), &manifest.to_string()).unwrap();
            for blob in ["shared".to_owned(), format!("config-{reference}"), format!("layer-{reference}")] {
                files::write(&store.blob(&format!("sha256:{blob}")), "x").unwrap();
            }
            entries.push(json!({ "digest": digest, "size": 1, "annotations": { REFERENCE: reference } }));
        }
        files::write(&folder.path().join("index.json"), &json!({ "manifests": entries }).to_string())
            .unwrap();
        (folder, store)
    }

    #[test]
    fn an_image_is_found_with_all_its_blobs_and_only_while_all_are_there() {
        let (_folder, store) = store(&["chrome-1"]);
        let stored = store.find("chrome-1").unwrap().unwrap();
        assert_eq!(stored.blobs.len(), 4);
        assert!(store.find("chrome-2").unwrap().is_none());
        files::remove(&store.blob("sha256:layer-chrome-1")).unwrap();
        assert!(store.find("chrome-1").unwrap().is_none());
    }

    #[test]
    fn old_builds_go_and_take_along_only_what_no_other_build_needs() {
        let (_folder, store) = store(&["a-1", "a-2", "b-1", "a-3", "a-4", "a-5"]);
        store.prune().unwrap();
        assert!(store.find("a-1").unwrap().is_none());
        assert!(!store.blob("sha256:layer-a-1").exists());
        for kept in ["a-2", "a-5", "b-1"] {
            assert!(store.find(kept).unwrap().is_some(), "{kept}");
        }
    }

    #[test]
    fn an_archive_names_the_image_as_pods_do() {
        let (_folder, store) = store(&["a-1"]);
        let index = store.find("a-1").unwrap().unwrap().index_for("localhost/a:dev");
        assert!(index.contains(r#""io.containerd.image.name":"localhost/a:dev""#), "{index}");
        assert!(!index.contains(REFERENCE));
    }
}
