//! Carrying an image to a node: only the layers that the node does not have.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, anyhow};

use super::build::Built;
use super::store::{ImageStore, blob_path};
use crate::cluster::command::Tool;
use crate::cluster::layout::{ClusterLayout, Place};
use crate::cluster::progress::Progress;

/// The containerd namespace that Kubernetes uses.
const NAMESPACE: &str = "k8s.io";

/// Brings an image to every node, to all at the same time.
pub(crate) fn load_everywhere(
    layout: &ClusterLayout,
    store: &ImageStore,
    built: &Built,
    progress: Progress,
) -> Result<()> {
    let outcomes: Vec<_> = thread::scope(|scope| {
        let loads: Vec<_> =
            layout.nodes().map(|node| scope.spawn(move || load(layout, node, store, built))).collect();
        loads.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    for (node, outcome) in layout.nodes().zip(outcomes) {
        let carried =
            outcome.map_err(|_| anyhow!("giving {} to {} panicked", built.image.name, node.name()))?;
        if let Some(bytes) = carried? {
            progress.say(format!(
                "{} has image {}: {} kB carried",
                node.name(),
                built.image.folder,
                bytes / 1000
            ));
        }
    }
    Ok(())
}

/// Makes a node have this image, and tells how many bytes had to be carried; none when it had it already.
pub(crate) fn load(
    layout: &ClusterLayout,
    node: Place,
    store: &ImageStore,
    built: &Built,
) -> Result<Option<u64>> {
    let ctr = || ctr(layout, node);
    let images = ctr().args(["images", "ls"]).output()?;
    if has_image(&images, built.image.name, &built.stored.digest) {
        return Ok(None);
    }
    let known = ctr().args(["content", "ls", "--quiet"]).output()?;
    let missing = missing(&built.stored.blobs, &known);
    let archive = tempfile::Builder::new().prefix("archive-").tempfile_in(layout.node(node))?;
    write_archive(archive.as_file(), store, built, &missing).context("write the archive")?;
    ctr()
        .args(["images", "import", "--digests"])
        .arg(archive.path())
        .run()
        .with_context(|| format!("give image {} to {}", built.image.name, node.name()))?;
    let images = ctr().args(["images", "ls"]).output()?;
    let superseded = superseded(&images);
    if !superseded.is_empty() {
        let forget = ctr().args(["images", "rm"]).args(superseded);
        forget.run().with_context(|| format!("forget earlier images on {}", node.name()))?;
    }
    Ok(Some(archive.as_file().metadata()?.len()))
}

/// Gives a node the images of an archive file, as docker and buildah write them.
pub(crate) fn load_archive(layout: &ClusterLayout, node: Place, archive: &Path) -> Result<()> {
    let import = ctr(layout, node).args(["images", "import"]).arg(archive);
    import.run().with_context(|| format!("give {} to {}", archive.display(), node.name()))
}

fn ctr(layout: &ClusterLayout, node: Place) -> Tool {
    Tool::new("ctr").arg("--address").arg(layout.containerd_socket(node)).args(["--namespace", NAMESPACE])
}

/// An archive in the OCI layout with the index of one image and these of its blobs.
fn write_archive(file: &File, store: &ImageStore, built: &Built, blobs: &[&String]) -> Result<()> {
    let mut archive = tar::Builder::new(std::io::BufWriter::new(file));
    put(&mut archive, Path::new("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    put(&mut archive, Path::new("index.json"), &built.stored.index_for(built.image.name))?;
    for blob in blobs {
        let path = store.blob(blob);
        archive
            .append_path_with_name(&path, blob_path(blob))
            .with_context(|| format!("add {}", path.display()))?;
    }
    archive.into_inner()?.flush().context("finish the archive")
}

fn put(archive: &mut tar::Builder<std::io::BufWriter<&File>>, path: &Path, text: &str) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(text.len()).context("size")?);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append_data(&mut header, path, text.as_bytes()).context("append")
}

/// Whether `ctr images ls` lists this name with this digest.
fn has_image(listing: &str, name: &str, digest: &str) -> bool {
    listing.lines().filter_map(name_and_digest).any(|image| image == (name, digest))
}

/// The names of images in a listing of `ctr images ls` that no tag leads to any more: by its digest, and by the id of its
/// configuration, an image stays known after another has taken its tag, and stays on the disk.
fn superseded(listing: &str) -> Vec<&str> {
    let images: Vec<_> = listing.lines().skip(1).filter_map(name_and_digest).collect();
    let is_tag = |name: &str| !name.contains('@') && !name.starts_with("sha256:");
    let tagged: HashSet<_> =
        images.iter().filter(|(name, _)| is_tag(name)).map(|(_, digest)| *digest).collect();
    images.into_iter().filter(|(_, digest)| !tagged.contains(digest)).map(|(name, _)| name).collect()
}

/// The fields REF and DIGEST of a line of a listing.
fn name_and_digest(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.split_whitespace();
    Some((fields.next()?, fields.nth(1)?))
}

/// The blobs a node lacks, of those an image needs.
fn missing<'a>(needed: &'a [String], known: &str) -> Vec<&'a String> {
    let known: HashSet<&str> = known.lines().map(str::trim).collect();
    needed.iter().filter(|blob| !known.contains(blob.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_counts_as_there_only_with_the_wanted_digest() {
        let listing = "REF TYPE DIGEST SIZE PLATFORMS LABELS\n\
                       localhost/a:dev application/vnd.oci.image.manifest.v1+json sha256:1 9 MiB linux/amd64 -\n";
        assert!(has_image(listing, "localhost/a:dev", "sha256:1"));
        assert!(!has_image(listing, "localhost/a:dev", "sha256:2"));
        assert!(!has_image(listing, "localhost/a", "sha256:1"));
    }

    #[test]
    fn an_image_whose_tag_another_has_taken_is_superseded() {
        let line = |name: &str, digest: &str| {
            format!("{name} application/vnd.oci.image.manifest.v1+json {digest} 9 MiB -")
        };
        let listing = [
            "REF TYPE DIGEST SIZE PLATFORMS LABELS".to_owned(),
            line("localhost:5000/a:dev", "sha256:2"),
            line("docker.io/library/import-2026-11-22@sha256:1", "sha256:1"),
            line("docker.io/library/import-2026-11-22@sha256:2", "sha256:2"),
            line("sha256:c1", "sha256:1"),
            line("sha256:c2", "sha256:2"),
        ];
        assert_eq!(
            superseded(&listing.join("\n")),
            ["docker.io/library/import-2026-11-22@sha256:1", "sha256:c1"]
        );
        assert!(superseded("").is_empty());
    }

    #[test]
    fn only_what_a_node_lacks_is_carried() {
        let needed = ["sha256:a".to_owned(), "sha256:b".to_owned()];
        assert_eq!(missing(&needed, "sha256:b\nsha256:c\n"), [&needed[0]]);
    }
}
