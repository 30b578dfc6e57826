//! Credentials in a folder: one file for each value, as a Secret is mounted in a pod.

use std::path::{Path, PathBuf};

use crate::CliError;

/// A value longer than this is no password, key or certificate.
const LONGEST: u64 = 64 * 1024;

/// A folder with credentials. What is in it is read when it is asked for and kept nowhere here.
#[derive(Debug, Clone)]
pub(crate) struct Folder<'a> {
    path: &'a Path,
    /// The flag that named it, for errors.
    flag: &'static str,
}

impl<'a> Folder<'a> {
    /// The folder that `flag` named.
    pub(crate) fn new(path: &'a Path, flag: &'static str) -> Self {
        Self { path, flag }
    }

    /// The value of that name; there must be one.
    pub(crate) fn text(&self, name: &str) -> Result<String, CliError> {
        self.optional(name)?.ok_or_else(|| {
            CliError::Usage(format!(
                "{}: there is no file `{name}` in {}, allowed: a folder with one file for each value",
                self.flag,
                self.path.display()
            ))
        })
    }

    /// The value of that name, without white space at its end, where there is one.
    pub(crate) fn optional(&self, name: &str) -> Result<Option<String>, CliError> {
        let file = self.path.join(name);
        let unreadable =
            |why| CliError::Usage(format!("{}: cannot read {}: {why}", self.flag, file.display()));
        let size = match std::fs::metadata(&file) {
            Ok(about) => about.len(),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(unreadable(why.to_string())),
        };
        if size > LONGEST {
            return Err(unreadable(format!("it has {size} bytes, at most {LONGEST} are read")));
        }
        let text = std::fs::read_to_string(&file).map_err(|why| unreadable(why.to_string()))?;
        Ok(Some(text.trim_end().to_owned()))
    }
}

/// The folder that was named, or an error that says what it is for.
pub(crate) fn needed<'a>(
    path: Option<&'a PathBuf>,
    flag: &'static str,
    what: &str,
) -> Result<Folder<'a>, CliError> {
    path.map(|path| Folder::new(path, flag))
        .ok_or_else(|| CliError::Usage(format!("{flag} is missing: {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("username"), "me\n").unwrap();
        let folder = Folder::new(folder.path(), "--queue-credentials");
        assert_eq!(folder.text("username").unwrap(), "me");
        assert_eq!(folder.optional("ca.crt").unwrap(), None);
        let error = folder.text("password").unwrap_err().to_string();
        assert!(error.contains("--queue-credentials") && error.contains("`password`"), "{error}");
    }

    #[test]
    fn what_is_too_large_is_no_credential() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), vec![b'x'; 70_000]).unwrap();
        let error = Folder::new(folder.path(), "--x").text("password").unwrap_err().to_string();
        assert!(error.contains("70000 bytes") && !error.contains("xxx"), "{error}");
    }
}
