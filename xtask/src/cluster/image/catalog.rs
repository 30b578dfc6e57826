//! Which images there are and what each is made of beside its folder in `images/`.

use anyhow::{Context, Result};

/// What an image stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing: its one program needs nothing else.
    Scratch,
    /// Debian.
    Debian,
}

/// Something that is put into an image's context beside the files of its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ingredient {
    /// One of the programs built from Go modules.
    Tool(&'static str),
    /// One of this workspace's programs: package and binary.
    Program {
        /// The cargo package.
        package: &'static str,
        /// The name of the binary.
        binary: &'static str,
    },
    /// The test site with its packages, as the folder `site`.
    Site,
}

/// One image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Image {
    /// The name of its folder.
    pub(crate) folder: &'static str,
    /// What it stands on.
    pub(crate) base: Base,
    /// What its context holds beside the files of the folder.
    pub(crate) ingredients: &'static [Ingredient],
    /// The name pods use.
    pub(crate) name: &'static str,
}

impl Image {
    /// Whether the test site with its packages is in it.
    pub(crate) fn holds_the_site(&self) -> bool {
        self.ingredients.contains(&Ingredient::Site)
    }
}

/// Every image, the ones others need first.
pub(crate) const IMAGES: [Image; 8] = [
    Image {
        folder: "pause",
        base: Base::Scratch,
        ingredients: &[Ingredient::Tool("pause")],
        name: crate::cluster::node::PAUSE_IMAGE,
    },
    debian("rabbitmq", "localhost/scrapefleet/rabbitmq:dev", &[]),
    debian("minio", "localhost/scrapefleet/minio:dev", &[Ingredient::Tool("minio")]),
    debian("valkey", "localhost/scrapefleet/valkey:dev", &[]),
    debian("prometheus", "localhost/scrapefleet/prometheus:dev", &[]),
    debian("showdown-site", "localhost/scrapefleet/showdown-site:dev", &[Ingredient::Site]),
    debian("chrome", "localhost/scrapefleet/chrome:dev", &[]),
    debian(
        "scrapefleet",
        "localhost/scrapefleet/scrapefleet:dev",
        &[
            Ingredient::Program { package: "scrapefleet-cli", binary: "scrapefleet" },
            Ingredient::Program { package: "scrapefleet-operator", binary: "scrapefleet-operator" },
        ],
    ),
];

const fn debian(folder: &'static str, name: &'static str, ingredients: &'static [Ingredient]) -> Image {
    Image { folder, base: Base::Debian, ingredients, name }
}

/// The image of this folder, or with this name.
pub(crate) fn find(wanted: &str) -> Result<&'static Image> {
    IMAGES.iter().find(|image| image.folder == wanted || image.name == wanted).with_context(|| {
        let known: Vec<_> = IMAGES.iter().map(|image| image.folder).collect();
        format!("there is no image {wanted:?}; there are {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_image_has_a_folder_with_a_dockerfile_and_every_folder_is_an_image() {
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../images");
        for image in IMAGES {
            assert!(images.join(image.folder).join("Dockerfile").exists(), "{}", image.folder);
        }
        let folders =
            std::fs::read_dir(images).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        for folder in folders.filter(|folder| folder != "base") {
            assert!(find(&folder).is_ok(), "{folder} is not in the catalog");
        }
    }

    #[test]
    fn every_dockerfile_on_debian_can_be_built_elsewhere_and_runs_as_nobody_special() {
        for image in IMAGES {
            let path =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../images").join(image.folder).join("Dockerfile");
            let text = std::fs::read_to_string(path).unwrap();
            if image.base == Base::Debian {
                assert!(
                    text.contains("ARG BASE=docker.io/library/debian:trixie-slim\nFROM ${BASE}\n"),
                    "{}",
                    image.folder
                );
            }
            let user = text.lines().find_map(|line| line.strip_prefix("USER ")).unwrap_or("0");
            let number = user.split(':').next().and_then(|user| user.parse::<u32>().ok()).unwrap_or(0);
            assert!(number > 0, "{} runs as {user}", image.folder);
        }
    }

    #[test]
    fn an_image_is_found_by_folder_and_by_name_and_a_stranger_is_told_what_there_is() {
        assert_eq!(find("chrome").unwrap(), find("localhost/scrapefleet/chrome:dev").unwrap());
        assert!(find("crome").unwrap_err().to_string().contains("chrome, scrapefleet"));
    }
}
