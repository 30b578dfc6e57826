//! What is on this machine.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;

use crate::process;

/// How long a program may take to tell its version; a first start of Chrome on a slow disk takes a few seconds.
const VERSION_WITHIN: Duration = Duration::from_secs(30);

/// Names under which distributions install Chrome.
const CHROME: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// What is on this machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    /// Whether packages can be installed by this user.
    pub(super) root: bool,
    /// Whether this is Debian or one of its descendants.
    pub(super) apt: bool,
    pub(super) chrome: Presence,
    pub(super) driver: Presence,
    pub(super) node: Presence,
    pub(super) npm: Presence,
}

/// Whether a program is there.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Presence {
    Missing,
    /// It is there and does not tell a version, for this reason.
    Broken(String),
    /// It is there, in this version.
    Version(Vec<u32>),
}

impl Presence {
    /// The first number of its version; none when it is missing or broken.
    pub(super) fn major(&self) -> Option<u32> {
        match self {
            Self::Version(numbers) => numbers.first().copied(),
            Self::Missing | Self::Broken(_) => None,
        }
    }
}

/// Looks at everything, at once.
pub(crate) async fn gather() -> Facts {
    let (chrome, driver, node, npm) = tokio::join!(
        version(CHROME),
        version(&["chromedriver"]),
        version(&["node", "nodejs"]),
        version(&["npm"])
    );
    Facts {
        root: rustix::process::geteuid().is_root(),
        apt: on_path("apt-get").is_some(),
        chrome,
        driver,
        node,
        npm,
    }
}

/// The version of the first of `names` that is on the path.
async fn version(names: &[&str]) -> Presence {
    let Some(program) = names.iter().find_map(|name| on_path(name)) else { return Presence::Missing };
    let mut command = Command::new(&program);
    command.arg("--version");
    match process::read(command, VERSION_WITHIN).await {
        Ok(said) => parse_version(&said).map_or_else(
            || Presence::Broken(format!("{} tells no version", program.display())),
            Presence::Version,
        ),
        Err(error) => Presence::Broken(format!("{error:#}")),
    }
}

/// Where a program is, by the rules of a shell.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The first dotted number in what a program says of itself.
fn parse_version(said: &str) -> Option<Vec<u32>> {
    said.split_whitespace().find_map(|word| {
        let word = word.strip_prefix('v').unwrap_or(word);
        let numbers: Option<Vec<u32>> = word.split('.').map(|part| part.parse().ok()).collect();
        numbers.filter(|numbers| numbers.len() > 1)
    })
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "chromium {}, chromedriver {}, node {}, npm {}",
            self.chrome, self.driver, self.node, self.npm
        )
    }
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Broken(why) => write!(f, "broken ({why})"),
            Self::Version(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
                f.write_str(&numbers.join("."))
            }
        }
    }
}

#[cfg(test)]
impl Facts {
    /// A machine where everything is there, with this Node.js.
    pub(super) fn with_node(node: &str) -> Self {
        let version = |text| parse_version(text).map_or(Presence::Missing, Presence::Version);
        let (chrome, driver) = (version("150.0"), version("150.0"));
        Self { root: true, apt: true, chrome, driver, node: version(node), npm: version("10.0") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_write_them() {
        for (said, version) in [
            (
                "Chromium 150.0.7204.157 built on Debian GNU/Linux 12 (bookworm)\n",
                Some(vec![150, 0, 7204, 157]),
            ),
            (
                "ChromeDriver 150.0.7204.157 (a21ce95c24ce-refs/branch-heads/7204@{#1704})",
                Some(vec![150, 0, 7204, 157]),
            ),
            ("v20.20.2\n", Some(vec![20, 20, 2])),
            ("9.2.0", Some(vec![9, 2, 0])),
            ("", None),
            ("no number here", None),
            ("version 7 alone is no version", None),
            ("99999999999.1", None),
        ] {
            assert_eq!(parse_version(said), version, "{said}");
        }
    }

    #[tokio::test]
    async fn a_program_that_tells_no_version_is_broken_and_named() {
        let Presence::Broken(why) = version(&["test"]).await else { panic!("`test` tells no version") };
        assert!(why.ends_with("/test tells no version"), "{why}");
        let Presence::Broken(why) = version(&["false"]).await else { panic!("`false` fails") };
        assert!(why.contains("ended with exit status: 1"), "{why}");
    }

    #[tokio::test]
    async fn the_first_name_that_is_there_counts() {
        assert_eq!(version(&["no-such-program-anywhere"]).await, Presence::Missing);
        assert!(version(&["no-such-program-anywhere", "cargo"]).await.major().is_some());
    }

    #[test]
    fn a_folder_or_a_plain_file_is_no_program() {
        assert!(!is_program(Path::new("/")));
        assert!(!is_program(Path::new("/etc/passwd")));
    }

    #[test]
    fn facts_read_well_in_one_line() {
        let facts = Facts {
            root: true,
            apt: true,
            chrome: Presence::Version(vec![150, 0]),
            driver: Presence::Missing,
            node: Presence::Version(vec![20, 1, 2]),
            npm: Presence::Broken("npm tells no version".to_owned()),
        };
        assert_eq!(
            facts.to_string(),
            "chromium 150.0, chromedriver missing, node 20.1.2, npm broken (npm tells no version)"
        );
    }
}
