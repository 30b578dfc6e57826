//! Every manifest in `tests/manifests` is wrong, and the text beside it says what a person is told.
//!
//! `UPDATE_GOLDEN=1 cargo test -p scrapefleet-api --test golden` writes the texts anew: read the difference.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{env, fs, path::Path};

use scrapefleet_api::manifest;

/// What is said of a file: a recipe when its name says so, else a manifest; `# set: path=value` lines are overrides.
fn said(file: &Path) -> String {
    let bytes = fs::read(file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let result = if name.starts_with("recipe-") {
        manifest::load_recipe(std::str::from_utf8(&bytes).unwrap()).map(drop)
    } else {
        let text = String::from_utf8_lossy(&bytes);
        let overrides: Vec<_> =
            text.lines().filter_map(|l| l.strip_prefix("# set: ")).map(str::to_owned).collect();
        manifest::load_bytes(&bytes, &overrides).map(drop)
    };
    match result {
        Ok(()) => "accepted\n".to_owned(),
        Err(problems) => format!("{problems}\n"),
    }
}

#[test]
fn wrong_manifests_are_answered_with_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    assert!(files.len() >= 30, "{} manifests", files.len());
    let mut different = Vec::new();
    for file in &files {
        let said = said(file);
        let golden = file.with_extension("txt");
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &said).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if said != expected {
            different.push(format!("{}\n--- expected\n{expected}--- said\n{said}", file.display()));
        }
        assert_ne!(said, "accepted\n", "{} is not wrong", file.display());
        for line in said.lines() {
            assert!(line.contains(": found ") && line.contains(", allowed: "), "{}: {line}", file.display());
            assert!(
                line.chars().count() < 700 && !line.contains(char::is_control),
                "{}: {line}",
                file.display()
            );
        }
        assert!(said.lines().count() <= 51, "{}", file.display());
    }
    assert!(different.is_empty(), "{}\nUPDATE_GOLDEN=1 writes the texts anew.", different.join("\n"));
}
