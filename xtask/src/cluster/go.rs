//! The Go toolchain: where it is, and whether it is new enough for what is built with it.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::command::Tool;
use super::files;

/// Where Go's own installer and Debian's package put it.
const FOLDERS: [&str; 2] = ["/usr/local/go/bin", "/usr/lib/go/bin"];
/// Debian's packages of one release put it into a folder of such a name in here: `go-1.25/bin`.
const RELEASES: (&str, &str) = ("/usr/lib", "go-");

/// A release of Go, `1.25.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Release(u32, u32, u32);

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The Go tool: the first that is new enough for this module, of those on the path and where installers put it.
pub(crate) fn find(module: &Path) -> Result<PathBuf> {
    let file = module.join("go.mod");
    let needed = needed_by(&files::read(&file)?)
        .with_context(|| format!("{}: no line says which Go it needs", file.display()))?;
    choose(candidates()?, needed, |go| Tool::new(go).args(["env", "GOVERSION"]).folder(module).output())
}

fn candidates() -> Result<Vec<PathBuf>> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    folders.extend(FOLDERS.map(PathBuf::from));
    let (lib, prefix) = RELEASES;
    let releases = files::names_in(Path::new(lib))?.into_iter().filter(|name| name.starts_with(prefix));
    folders.extend(releases.map(|name| Path::new(lib).join(name).join("bin")));
    Ok(folders.into_iter().map(|folder| folder.join("go")).filter(|file| file.exists()).collect())
}

/// The first of these that is new enough; `ask` gets what one says its version is.
fn choose(
    candidates: Vec<PathBuf>,
    needed: Release,
    ask: impl Fn(&Path) -> Result<String>,
) -> Result<PathBuf> {
    let mut refused = Vec::new();
    for go in candidates {
        match ask(&go) {
            // Of a version that does not read like a release, Go itself can tell whether it will do.
            Ok(version) if release(&version).is_none_or(|release| release >= needed) => return Ok(go),
            Ok(version) => refused.push(format!("{} is {}", go.display(), version.trim())),
            Err(error) => refused.push(format!("{} does not tell its version: {error:#}", go.display())),
        }
    }
    let found = if refused.is_empty() {
        "there is none on PATH, at /usr/local/go or in /usr/lib".to_owned()
    } else {
        refused.join("; ")
    };
    bail!(
        "the cluster's programs are built with Go {needed} or later, and {found}. Unpack one of https://go.dev/dl/ into \
         /usr/local, or install one from Debian's backports, then try again"
    )
}

/// The release that a go.mod asks for: `go 1.25.0`.
fn needed_by(module: &str) -> Option<Release> {
    module.lines().find_map(|line| line.strip_prefix("go ")).and_then(release)
}

/// The release that a version names: `go1.26.8`, `1.25`, `go1.25.1 X:nodwarf5`.
fn release(version: &str) -> Option<Release> {
    let word = version.split_whitespace().next()?;
    let numbers = word.strip_prefix("go").unwrap_or(word).split('.').map(|part| part.parse().ok());
    match numbers.collect::<Option<Vec<u32>>>()?[..] {
        [major, minor] => Some(Release(major, minor, 0)),
        [major, minor, patch] => Some(Release(major, minor, patch)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    const NEEDED: Release = Release(1, 25, 0);

    #[test]
    fn versions_are_read_as_go_writes_them() {
        for (version, expected) in [
            ("go1.19.8\n", Some(Release(1, 19, 8))),
            ("go1.25", Some(Release(1, 25, 0))),
            ("go1.26.1 X:nodwarf5", Some(Release(1, 26, 1))),
            ("devel go1.27-f2e4c1d Mon", None),
            ("go1.25rc1", None),
            ("", None),
        ] {
            assert_eq!(release(version), expected, "{version}");
        }
    }

    #[test]
    fn what_is_needed_is_what_the_module_of_the_cluster_says() {
        let module = include_str!("../../../tools/kubernetes/go.mod");
        assert!(needed_by(module).unwrap() >= NEEDED);
        assert_eq!(needed_by("module x\n\ngo 1.25.3\n"), Some(Release(1, 25, 3)));
        assert_eq!(needed_by("module x\n"), None);
    }

    fn chosen(versions: &[&str]) -> Result<PathBuf> {
        let candidates = (0..versions.len()).map(|at| PathBuf::from(format!("/{at}"))).collect();
        choose(candidates, NEEDED, |go| {
            let at: usize = go.to_str().unwrap()[1..].parse()?;
            Ok(versions[at].to_owned())
        })
    }

    #[test]
    fn one_that_is_too_old_is_passed_over_for_one_that_is_not() {
        assert_eq!(chosen(&["go1.19.8\n", "go1.25.0\n", "go1.26.8\n"]).unwrap(), Path::new("/1"));
        assert_eq!(chosen(&["go1.19.8", "devel go1.27-f2e4c1d"]).unwrap(), Path::new("/1"));
    }

    #[test]
    fn where_all_are_too_old_it_is_said_which_there_are_and_what_to_do() {
        let error = chosen(&["go1.19.8\n", "go1.24.11\n"]).unwrap_err().to_string();
        for part in ["Go 1.25.0 or later", "/0 is go1.19.8;", "/1 is go1.24.11.", "https://go.dev/dl/"] {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
    }

    #[test]
    fn none_and_one_that_does_not_answer_are_told_apart() {
        let error = chosen(&[]).unwrap_err().to_string();
        assert!(error.contains("there is none on PATH"), "{error}");
        let error = choose(vec!["/go".into()], NEEDED, |_| Err(anyhow!("no toolchain"))).unwrap_err();
        assert!(error.to_string().contains("/go does not tell its version: no toolchain"), "{error}");
    }
}
