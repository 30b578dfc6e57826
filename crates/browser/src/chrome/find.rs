//! Finding Chrome and its driver.

use std::{
    env,
    ffi::OsString,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Names of Chrome's driver, the best first.
const DRIVERS: [&str; 2] = ["chromedriver", "chromium.chromedriver"];

/// Names of Chrome, the best first: Debian's, then Google's, then other systems'.
const CHROMES: [&str; 5] =
    ["chromium", "google-chrome-stable", "google-chrome", "chromium-browser", "chrome"];

/// Folders looked in after those of PATH: a service often has a short one.
const USUAL: [&str; 6] = [
    "/usr/bin",
    "/usr/local/bin",
    "/usr/lib/chromium",
    "/opt/google/chrome",
    "/snap/bin",
    "/opt/chromedriver",
];

/// A program that is needed is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no {what}: looked for {} in {}; install it, on Debian with `apt-get install chromium chromium-driver`, or say where it is",
    names.join(", "),
    folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
)]
pub struct NoProgram {
    /// What it is.
    pub what: &'static str,
    /// The names looked for.
    pub names: Vec<String>,
    /// The folders looked in.
    pub folders: Vec<PathBuf>,
}

/// Where Chrome's driver is: `told`, or the first that is found in PATH and the usual folders.
pub fn find_driver(told: Option<&Path>) -> Result<PathBuf, NoProgram> {
    find("driver of Chrome (chromedriver)", told, &DRIVERS, &folders(env::var_os("PATH")))
}

/// Where Chrome is: `told`, or the first that is found in PATH and the usual folders.
pub fn find_chrome(told: Option<&Path>) -> Result<PathBuf, NoProgram> {
    find("Chrome", told, &CHROMES, &folders(env::var_os("PATH")))
}

fn folders(path: Option<OsString>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in env::split_paths(&path.unwrap_or_default()).chain(USUAL.map(PathBuf::from)) {
        if folder.is_absolute() && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

fn find(
    what: &'static str,
    told: Option<&Path>,
    names: &[&str],
    folders: &[PathBuf],
) -> Result<PathBuf, NoProgram> {
    if let Some(told) = told {
        let folder = told.parent().unwrap_or(told).to_path_buf();
        let name = told.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Some(told.to_path_buf()).filter(|path| is_program(path)).ok_or_else(|| NoProgram {
            what,
            names: vec![name],
            folders: vec![folder],
        });
    }
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| is_program(path))
        .ok_or_else(|| NoProgram {
            what,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            folders: folders.to_vec(),
        })
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_better_name_wins_over_the_earlier_folder() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for program in [one.path().join("chrome"), two.path().join("chromium")] {
            fs::write(&program, "").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(one.path().join("chromium"), "not executable").unwrap();
        let folders = [one.path().to_path_buf(), two.path().to_path_buf()];
        assert_eq!(find("Chrome", None, &CHROMES, &folders).unwrap(), two.path().join("chromium"));
    }

    #[test]
    fn what_is_not_there_says_where_it_was_looked_for_and_how_to_get_it() {
        let error = find("Chrome", None, &CHROMES, &[PathBuf::from("/nowhere")]).unwrap_err().to_string();
        for part in
            ["no Chrome", "google-chrome-stable", "/nowhere", "apt-get install chromium chromium-driver"]
        {
            assert!(error.contains(part), "{part} in {error}");
        }
        let told = find_driver(Some(Path::new("/nowhere/driver"))).unwrap_err().to_string();
        assert!(told.contains("looked for driver in /nowhere"), "{told}");
    }

    #[test]
    fn folders_are_those_of_path_then_the_usual_ones_each_once() {
        let folders = folders(Some("/opt/a:relative:/usr/bin".into()));
        assert_eq!(folders[..3], ["/opt/a", "/usr/bin", "/usr/local/bin"].map(PathBuf::from));
    }
}
