//! The name of a cluster: one per checkout, so that two checkouts on one machine never meet.

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};
use sha2::{Digest, Sha256};

/// How long a name may be: it is part of the paths of unix sockets, which the kernel limits to 107 bytes.
const LONGEST: usize = 24;

/// A cluster's name: lower-case letters, digits and hyphens, 1 to 24 of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterName(String);

impl ClusterName {
    /// The name a person gave.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || text.len() > LONGEST || text.starts_with('-') || !text.chars().all(allowed) {
            bail!(
                "cluster name {text:?}: found what is not allowed; a name has 1 to {LONGEST} lower-case letters, digits and hyphens and \
                 does not begin with a hyphen"
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The name of the cluster that belongs to this checkout: its folder's name, for the eye, and a digest of its
    /// whole path, for uniqueness.
    pub(crate) fn of_checkout(checkout: &Path) -> Self {
        let digest = Sha256::digest(checkout.as_os_str().as_encoded_bytes());
        let folder =
            checkout.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let mut name: String = folder.chars().filter(char::is_ascii_alphanumeric).take(LONGEST - 7).collect();
        if name.is_empty() {
            name.push_str("checkout");
        }
        let mark: Vec<String> = digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
        name.push('-');
        name.push_str(&mark.concat());
        Self(name)
    }

    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_checkouts_with_the_same_folder_name_get_two_names() {
        let one = ClusterName::of_checkout(Path::new("/home/a/ScrapeFleet"));
        let two = ClusterName::of_checkout(Path::new("/home/b/ScrapeFleet"));
        assert_ne!(one, two);
        assert!(one.as_str().starts_with("scrapefleet-"), "{one}");
    }

    #[test]
    fn a_derived_name_is_always_one_that_parses() {
        for path in ["/", "/ö ü", "/a/very-long-folder-name-that-goes-on-and-on-and-on", "/x/main", "/x/-"]
        {
            let name = ClusterName::of_checkout(Path::new(path));
            assert!(ClusterName::parse(name.as_str()).is_ok(), "{path} gave {name}");
        }
    }

    #[test]
    fn a_bad_name_is_refused_and_the_error_says_what_is_allowed() {
        for bad in ["", "A", "a b", "a/b", "-a", "aaaaaaaaaaaaaaaaaaaaaaaaa"] {
            let error = ClusterName::parse(bad).unwrap_err().to_string();
            assert!(error.contains("1 to 24 lower-case letters"), "{bad}: {error}");
        }
    }
}
