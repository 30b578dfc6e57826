//! The folder that what explains a failure is written into.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The file that tells what could not be had.
const MISSING: &str = "missing.txt";

/// The folder of one failure.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    missing: Vec<String>,
}

impl Folder {
    /// Makes the folder of this name.
    pub(super) async fn make(name: &str) -> Result<Self> {
        Self::make_in(&base(), name).await
    }

    async fn make_in(base: &Path, name: &str) -> Result<Self> {
        let path = base.join(name);
        tokio::fs::create_dir_all(&path).await.with_context(|| format!("make {}", path.display()))?;
        Ok(Self { path, missing: Vec::new() })
    }

    /// Writes a file, unless there is nothing to write; takes note of what could not be had, or not be written.
    pub(super) async fn keep(&mut self, file: &str, content: Result<String>) {
        let kept = match content {
            Ok(text) if text.is_empty() => return,
            Ok(text) => self.write(file, &text).await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            self.miss(file, &format!("{error:#}"));
        }
    }

    /// Takes note of something that could not be had.
    pub(super) fn miss(&mut self, what: &str, why: &dyn Display) {
        self.missing.push(format!("{what}: {why}\n"));
    }

    /// Writes down what is missing, and tells where everything is.
    pub(super) async fn finish(self) -> Result<PathBuf> {
        if !self.missing.is_empty() {
            self.write(MISSING, &self.missing.concat()).await?;
        }
        Ok(self.path)
    }

    async fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.path.join(file);
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await.with_context(|| format!("make {}", folder.display()))?;
        }
        tokio::fs::write(&path, text).await.with_context(|| format!("write {}", path.display()))
    }
}

/// Where the folders are: beside what was built, or else among this machine's temporary files.
fn base() -> PathBuf {
    // `CARGO_TARGET_TMPDIR` is there only while tests are built, and not for this library.
    let executable = std::env::current_exe().ok();
    let beside = executable.as_deref().and_then(temporary_of_target);
    beside.unwrap_or_else(std::env::temp_dir).join("e2e-failures")
}

/// The folder `target/tmp` of a test `target/debug/deps/test-0123`, which is what cargo names to tests.
fn temporary_of_target(executable: &Path) -> Option<PathBuf> {
    let profile = executable.parent().filter(|folder| folder.ends_with("deps"))?.parent()?;
    Some(profile.parent()?.join("tmp"))
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn the_folder_of_a_test_is_beside_it_and_that_of_another_program_is_not() {
        let of = |file| temporary_of_target(Path::new(file));
        assert_eq!(of("/t/debug/deps/pods-1"), Some("/t/tmp".into()));
        assert_eq!(of("/usr/bin/scrapefleet-chaos"), None);
    }

    #[tokio::test]
    async fn what_could_not_be_had_is_told_beside_what_could() {
        let base = tempfile::tempdir().unwrap();
        let mut folder = Folder::make_in(base.path(), "failure").await.unwrap();
        folder.keep("platform/events.txt", Ok("one\n".to_owned())).await;
        folder.keep("nothing.txt", Ok(String::new())).await;
        folder.keep("pods.yaml", Err(anyhow!("the server is away").context("list pods"))).await;
        let path = folder.finish().await.unwrap();
        let read = |file: &str| std::fs::read_to_string(path.join(file)).unwrap();
        assert_eq!(read("platform/events.txt"), "one\n");
        assert_eq!(read(MISSING), "pods.yaml: list pods: the server is away\n");
        assert!(!path.join("nothing.txt").exists());
    }
}
