//! Credentials in a folder: one file for each value, as a Secret is mounted in a pod.
//!
//! What is missing there, or cannot be read, is no fault of the manifest: whoever mends the Secret mends it.

use std::path::{Path, PathBuf};

use crate::CliError;

/// A value longer than this is no password, key or certificate.
const LONGEST: u64 = 64 * 1024;

/// A folder with credentials. What is in it is read when it is asked for and kept nowhere here.
#[derive(Debug, Clone)]
pub(crate) struct Folder<'a> {
    path: &'a Path,
    whose: Whose,
}

/// Who is asked with the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The queue's broker.
    Queue,
    /// The object store.
    Store,
}

impl Whose {
    /// The flag that names the folder.
    pub(crate) const fn flag(self) -> &'static str {
        match self {
            Self::Queue => "--queue-credentials",
            Self::Store => "--store-credentials",
        }
    }
}

impl<'a> Folder<'a> {
    /// The folder that the flag named.
    pub(crate) fn new(path: &'a Path, whose: Whose) -> Self {
        Self { path, whose }
    }

    /// The value of that name; there must be one.
    pub(crate) fn text(&self, name: &str) -> Result<String, CliError> {
        self.optional(name)?.ok_or_else(|| {
            self.unusable(&format!(
                "there is no file `{name}` in {}, allowed: a folder with one file for each value",
                self.path.display()
            ))
        })
    }

    /// The value of that name, without white space at its end, where there is one.
    pub(crate) fn optional(&self, name: &str) -> Result<Option<String>, CliError> {
        let file = self.path.join(name);
        let unreadable = |why: String| self.unusable(&format!("cannot read {}: {why}", file.display()));
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

    fn unusable(&self, why: &str) -> CliError {
        CliError::Credentials { whose: self.whose, why: format!("{}: {why}", self.whose.flag()) }
    }
}

/// The folder that was named, or an error that says what it is for.
pub(crate) fn needed<'a>(
    path: Option<&'a PathBuf>,
    whose: Whose,
    what: &str,
) -> Result<Folder<'a>, CliError> {
    path.map(|path| Folder::new(path, whose))
        .ok_or_else(|| CliError::Usage(format!("{} is missing: {what}", whose.flag())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("username"), "me\n").unwrap();
        let folder = Folder::new(folder.path(), Whose::Queue);
        assert_eq!(folder.text("username").unwrap(), "me");
        assert_eq!(folder.optional("ca.crt").unwrap(), None);
        let error = folder.text("password").unwrap_err().to_string();
        assert!(error.contains("--queue-credentials") && error.contains("`password`"), "{error}");
    }

    #[test]
    fn what_is_too_large_is_no_credential() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), vec![b'x'; 70_000]).unwrap();
        let error = Folder::new(folder.path(), Whose::Queue).text("password").unwrap_err().to_string();
        assert!(error.contains("70000 bytes") && !error.contains("xxx"), "{error}");
    }

    #[test]
    fn what_a_secret_lacks_may_come_and_what_a_command_lacks_does_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        for (whose, code) in [(Whose::Queue, 13), (Whose::Store, 14)] {
            let path = folder.path().to_owned();
            let given = needed(Some(&path), whose, "why").unwrap();
            for name in ["absent", "folder"] {
                let error = given.text(name).unwrap_err();
                assert_eq!(error.exit_code(), code, "{error}");
                assert!(error.to_string().contains(whose.flag()), "{error}");
            }
            assert_eq!(needed(None, whose, "why").unwrap_err().exit_code(), 15);
        }
    }
}
