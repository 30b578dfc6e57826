//! The folder that a demo leaves its logs and its ledger in.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// Marks a folder as a demo's own, which the next demo may empty.
const MARK: &str = ".scrapefleet-demo";

/// How many folders of earlier demos are kept beside each other before a person must tidy up.
const MOST: u32 = 100;

/// Makes an empty folder at `wanted`. What an earlier demo left there is removed, or, with `keep`, left alone:
/// then the folder gets a number behind its name. A folder that is not a demo's own is never touched.
pub(super) fn fresh(wanted: &Path, keep: bool) -> Result<PathBuf> {
    let path = if keep { unused(wanted)? } else { wanted.to_owned() };
    if path.exists() {
        if !is_ours(&path)? {
            bail!(
                "{} is there already and is not a demo's; choose another folder with --data",
                path.display()
            );
        }
        fs::remove_dir_all(&path).with_context(|| format!("{} cannot be emptied", path.display()))?;
    }
    fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    let mark = path.join(MARK);
    fs::write(&mark, "The next demo empties this folder.\n")
        .with_context(|| format!("{} cannot be written", mark.display()))?;
    Ok(path)
}

/// An empty folder is as good as a demo's own.
fn is_ours(path: &Path) -> Result<bool> {
    let mut entries = fs::read_dir(path).with_context(|| format!("{} is not a folder", path.display()))?;
    Ok(path.join(MARK).exists() || entries.next().is_none())
}

/// `wanted`, or the first of `wanted-2`, `wanted-3`, ... that is not there.
fn unused(wanted: &Path) -> Result<PathBuf> {
    let numbered = |number| {
        let mut name = wanted.as_os_str().to_owned();
        name.push(format!("-{number}"));
        PathBuf::from(name)
    };
    let mut names = std::iter::once(wanted.to_owned()).chain((2..=MOST).map(numbered));
    match names.find(|path| !path.exists()) {
        Some(path) => Ok(path),
        None => bail!("{MOST} demos are kept in {}* already; remove some", wanted.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_empties_what_a_demo_left() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = folder.path().join("data/demo");
        let first = fresh(&wanted, false).unwrap();
        fs::write(first.join("queue.redb"), "old").unwrap();
        assert_eq!(fresh(&wanted, false).unwrap(), wanted);
        assert!(!wanted.join("queue.redb").exists());
    }

    #[test]
    fn kept_demos_stand_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = folder.path().join("demo");
        let names: Vec<_> = (0..3).map(|_| fresh(&wanted, true).unwrap()).collect();
        assert_eq!(names, [wanted, folder.path().join("demo-2"), folder.path().join("demo-3")]);
    }

    #[test]
    fn what_is_not_a_demos_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
        let error = fresh(folder.path(), false).unwrap_err().to_string();
        assert!(error.contains("is not a demo's") && error.contains("--data"), "{error}");
        assert!(folder.path().join("thesis.txt").exists());
    }

    #[test]
    fn an_empty_folder_will_do() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(fresh(folder.path(), false).unwrap(), folder.path());
    }
}
