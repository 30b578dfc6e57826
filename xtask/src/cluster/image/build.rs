//! Building an image when something it is made of has changed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::catalog::{Base, Image, Ingredient};
use super::store::{ImageStore, Stored};
use crate::cluster::command::Tool;
use crate::cluster::files;
use crate::cluster::progress::Progress;
use crate::cluster::turn;

/// The release of Debian that images stand on.
const RELEASE: &str = "trixie";
/// The name of the base in buildah's own storage; its tag is the key of what it is made of.
const BASE_IMAGE: &str = "localhost/scrapefleet/base";

/// Builds images.
#[derive(Debug)]
pub(crate) struct Builder {
    checkout: PathBuf,
    tools: PathBuf,
    folder: PathBuf,
    store: ImageStore,
    progress: Progress,
}

/// Something that goes into an image's context.
#[derive(Debug)]
struct Part {
    /// Its name there.
    name: &'static str,
    /// The file or folder it is copied from.
    from: PathBuf,
}

/// An image that is up to date in the store.
#[derive(Debug)]
pub(crate) struct Built {
    /// Which one.
    pub(crate) image: &'static Image,
    /// What it consists of.
    pub(crate) stored: Stored,
}

impl Builder {
    /// A builder for the images of this checkout, with its storage in the cache folder.
    pub(crate) fn new(cache: &Path, checkout: &Path, tools: &Path, progress: Progress) -> Self {
        let folder = cache.join("images");
        Self {
            checkout: checkout.to_path_buf(),
            tools: tools.to_path_buf(),
            store: ImageStore::new(folder.join("store")),
            folder,
            progress,
        }
    }

    /// The store the images are in.
    pub(crate) fn store(&self) -> &ImageStore {
        &self.store
    }

    /// Builds an image unless it is up to date.
    pub(crate) fn ensure(&self, image: &'static Image) -> Result<Built> {
        let _turn = turn::take(&self.folder, self.progress)?;
        let work = format!("building what image {} is made of", image.folder);
        let (ingredients, key) = self.progress.during(&work, || self.identify(image))?;
        let reference = format!("{}-{key}", image.folder);
        if let Some(stored) = self.store.find(&reference)? {
            return Ok(Built { image, stored });
        }
        let base = self.base_image()?;
        if image.base == Base::Debian {
            self.ensure_base(&base)?;
        }
        let work = format!("building image {}", image.folder);
        self.progress.say(&work);
        self.progress.during(&work, || self.build(image, &ingredients, &base, &reference))?;
        self.progress.say(format!("image {} built", image.folder));
        let stored = self
            .store
            .find(&reference)?
            .with_context(|| format!("image {reference} is not in the store after it was built"))?;
        Ok(Built { image, stored })
    }

    /// Builds an image and puts it into the store.
    fn build(&self, image: &Image, ingredients: &[Part], base: &str, reference: &str) -> Result<()> {
        let context = self.context(image, ingredients)?;
        self.bud(context.path(), image.name, base)
            .with_context(|| format!("build image {}", image.folder))?;
        self.buildah()
            .args(["push", "--quiet", "--format", "oci", image.name])
            .arg(self.store.destination(reference))
            .run()?;
        // What this build has taken the name of; layers that are used again stay.
        self.buildah().args(["rmi", "--prune"]).run()?;
        self.store.prune()
    }

    /// Everything an image is made of: the files and folders beside those of its own folder, and the key of it all.
    fn identify(&self, image: &Image) -> Result<(Vec<Part>, String)> {
        let mut digest = Sha256::new();
        if image.base == Base::Debian {
            self.add_base(&mut digest)?;
        }
        add_tree(&self.checkout.join("images").join(image.folder), &mut digest)?;
        let mut parts = Vec::new();
        for ingredient in image.ingredients {
            let part = self.part(ingredient)?;
            digest.update(part.name);
            match ingredient {
                // It lives in a folder that is named by all it was built from.
                Ingredient::Tool(_) => digest.update(part.from.as_os_str().as_encoded_bytes()),
                Ingredient::Program { .. } | Ingredient::Site => add_tree(&part.from, &mut digest)?,
            }
            parts.push(part);
        }
        Ok((parts, key(digest)))
    }

    /// Adds what the base is made of.
    fn add_base(&self, digest: &mut Sha256) -> Result<()> {
        digest.update(RELEASE);
        add_tree(&self.checkout.join("images/base"), digest)
    }

    /// The name of the base as it has to be now. One that was made of something else has another.
    fn base_image(&self) -> Result<String> {
        let mut digest = Sha256::new();
        self.add_base(&mut digest)?;
        Ok(format!("{BASE_IMAGE}:{}", key(digest)))
    }

    /// Where an ingredient is, made first if it has to be.
    fn part(&self, ingredient: &Ingredient) -> Result<Part> {
        Ok(match *ingredient {
            Ingredient::Tool(name) => {
                let from = self.tools.join(name);
                Part { name, from: from.canonicalize().with_context(|| format!("find {}", from.display()))? }
            }
            Ingredient::Program { package, binary } => {
                Part { name: binary, from: self.build_program(package, binary)? }
            }
            // The scripts hold the lock of their packages, so they stand for them.
            Ingredient::Site => Part { name: "site", from: scrapefleet_test_site::packages::scripts() },
        })
    }

    /// A folder with everything the image is made of.
    fn context(&self, image: &Image, parts: &[Part]) -> Result<tempfile::TempDir> {
        let context = tempfile::Builder::new().prefix("context-").tempdir_in(&self.folder)?;
        copy_tree(&self.checkout.join("images").join(image.folder), context.path())?;
        for part in parts {
            let to = context.path().join(part.name);
            if part.from.is_dir() {
                copy_tree(&part.from, &to)?;
            } else {
                fs::copy(&part.from, &to)
                    .with_context(|| format!("copy {} to {}", part.from.display(), to.display()))?;
            }
        }
        if image.holds_the_site() {
            let packages = scrapefleet_test_site::packages::install()
                .context("install the packages of the test site")?;
            copy_tree(&packages, &context.path().join("site/node_modules"))?;
        }
        Ok(context)
    }

    /// Builds one of this workspace's programs and gives its executable without debugging symbols. It is built as a part of
    /// the whole workspace, as tests build it: alone its dependencies would have other features and be built once more.
    fn build_program(&self, package: &str, binary: &str) -> Result<PathBuf> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let messages = Tool::new(cargo)
            .args(["build", "--quiet", "--message-format=json", "--workspace", "--bin", binary])
            .told_nothing_of_this_run()
            .folder(&self.checkout)
            .output()?;
        let Some(built) = executable(&messages, binary) else {
            bail!("cargo built {package} but named no executable {binary}");
        };
        let stripped = self.folder.join(format!("{binary}.stripped"));
        Tool::new("objcopy").arg("--strip-debug").arg(built).arg(&stripped).run()?;
        Ok(stripped)
    }

    /// Makes the base when it is not there.
    fn ensure_base(&self, name: &str) -> Result<()> {
        if self.buildah().args(["inspect", "--type", "image", name]).run().is_ok() {
            return Ok(());
        }
        self.progress.say("building the base image: 1 minute the first time");
        self.progress.during("building the base image", || self.build_base(name))
    }

    fn build_base(&self, name: &str) -> Result<()> {
        let context = tempfile::Builder::new().prefix("context-").tempdir_in(&self.folder)?;
        copy_tree(&self.checkout.join("images/base"), context.path())?;
        let lists = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];
        let sources = lists.map(|list| fs::read_to_string(list).unwrap_or_default()).concat();
        Tool::new("mmdebstrap")
            .args(["--quiet", "--variant=minbase", "--include=ca-certificates", RELEASE])
            .arg(context.path().join("base.tar"))
            .arg(mirror(&sources))
            .run()?;
        self.bud(context.path(), name, "scratch").context("build the base image")
    }

    fn bud(&self, context: &Path, name: &str, base: &str) -> Result<()> {
        self.buildah()
            // Without an isolation of its own: that needs control groups as they are not on every machine.
            .args([
                "bud",
                "--quiet",
                "--isolation",
                "chroot",
                "--network",
                "host",
                "--layers",
                "--pull-never",
            ])
            .args(["--build-arg", &format!("BASE={base}"), "--tag", name])
            .arg(context)
            .run()
    }

    fn buildah(&self) -> Tool {
        let storage = self.folder.join("buildah");
        Tool::new("buildah")
            .arg(format!("--root={}", storage.join("storage").display()))
            .arg(format!("--runroot={}", storage.join("run").display()))
            .arg("--storage-driver=overlay")
    }
}

fn key(digest: Sha256) -> String {
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// The mirror this machine's own packages come from.
fn mirror(sources: &str) -> String {
    let is_address = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
    let lines = sources.lines().filter(|line| line.starts_with("URIs:") || line.starts_with("deb "));
    let found = lines.flat_map(str::split_whitespace).find(is_address);
    found.unwrap_or("http://deb.debian.org/debian").to_owned()
}

/// The executable of this name among cargo's messages, one JSON object a line.
fn executable(messages: &str, binary: &str) -> Option<PathBuf> {
    let objects = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    objects
        .filter(|object| object["target"]["name"] == binary)
        .filter_map(|object| object["executable"].as_str().map(PathBuf::from))
        .next_back()
}

/// Adds a file, or every file of a folder: names and bytes.
fn add_tree(path: &Path, digest: &mut Sha256) -> Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("look at {}", path.display()))?;
    if metadata.is_dir() {
        for name in files::names_in(path)? {
            digest.update(&name);
            add_tree(&path.join(name), digest)?;
        }
        return Ok(());
    }
    digest.update(metadata.len().to_le_bytes());
    let mut file = fs::File::open(path).with_context(|| format!("open {}", path.display()))?;
    std::io::copy(&mut file, digest).map(drop).with_context(|| format!("read {}", path.display()))
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    files::make_folder(to)?;
    Tool::new("cp").args(["-a", "--reflink=auto"]).arg(from.join(".")).arg(to).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_mirror_is_used() {
        let deb822 = "Types: deb\n# http://old.example/\nURIs: http://mirror.example/debian\nSuites: x\n";
        assert_eq!(mirror(deb822), "http://mirror.example/debian");
        assert_eq!(mirror("deb [arch=amd64] https://m.example/d stable main\n"), "https://m.example/d");
        assert_eq!(mirror(""), "http://deb.debian.org/debian");
    }

    /// A checkout with one image on Debian that holds one tool.
    fn checkout() -> (tempfile::TempDir, Builder) {
        let folder = tempfile::tempdir().unwrap();
        for file in ["images/base/Dockerfile", "images/minio/Dockerfile", "tools/minio"] {
            files::write(&folder.path().join(file), file).unwrap();
        }
        let builder =
            Builder::new(folder.path(), folder.path(), &folder.path().join("tools"), Progress::begin());
        (folder, builder)
    }

    #[test]
    fn a_key_changes_with_anything_the_image_is_made_of_and_with_nothing_else() {
        let (folder, builder) = checkout();
        let image = super::super::catalog::find("minio").unwrap();
        let mut keys = vec![builder.identify(image).unwrap().1];
        files::write(&folder.path().join("images/valkey/Dockerfile"), "other").unwrap();
        assert_eq!(keys[0], builder.identify(image).unwrap().1);
        for file in ["images/base/Dockerfile", "images/minio/Dockerfile", "images/minio/more"] {
            files::write(&folder.path().join(file), "changed").unwrap();
            keys.push(builder.identify(image).unwrap().1);
        }
        // A tool that is built anew lies in another folder, and the link of its name leads there.
        files::write(&folder.path().join("built-anew/minio"), "").unwrap();
        files::remove(&folder.path().join("tools/minio")).unwrap();
        std::os::unix::fs::symlink("../built-anew/minio", folder.path().join("tools/minio")).unwrap();
        keys.push(builder.identify(image).unwrap().1);
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 5);
    }

    #[test]
    fn a_base_that_is_made_of_something_else_has_another_name() {
        let (folder, builder) = checkout();
        let name = builder.base_image().unwrap();
        assert!(name.starts_with("localhost/scrapefleet/base:"), "{name}");
        files::write(&folder.path().join("images/minio/Dockerfile"), "changed").unwrap();
        assert_eq!(builder.base_image().unwrap(), name);
        files::write(&folder.path().join("images/base/Dockerfile"), "changed").unwrap();
        assert_ne!(builder.base_image().unwrap(), name);
    }

    #[test]
    fn the_executable_is_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}
not json
{"reason":"compiler-artifact","target":{"name":"scrapefleet"},"executable":"/t/debug/scrapefleet"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "scrapefleet"), Some(PathBuf::from("/t/debug/scrapefleet")));
        assert_eq!(executable(messages, "other"), None);
    }
}
