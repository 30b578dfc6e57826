//! The npm packages of the Showdown site, installed once per user and shared by all tests.
//!
//! They live outside the checkout, in `$XDG_CACHE_HOME/scrapefleet/showdown-<hash of the lock>` (default
//! `~/.cache`). The hash names the contents, so a folder that is there is whole and never changes.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// Files that say what is installed.
const MANIFESTS: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// The folder with the site's scripts.
#[must_use]
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node")
}

/// Installs the packages unless they are there, and answers the `node_modules` folder. Blocks; processes that call
/// this at the same time install once. Needs Node.js 18 or later and npm on the `PATH`.
pub fn install() -> Result<PathBuf> {
    let cache = cache_folder()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let folder = cache.join(format!("showdown-{}", hash_of_lock()?));
    let modules = folder.join("node_modules");
    if modules.exists() {
        return Ok(modules);
    }
    let lock = File::create(cache.join("showdown.lock"))?;
    lock.lock().context("cannot lock the package cache")?;
    if !modules.exists() {
        install_into(&cache, &folder)?;
    }
    Ok(modules)
}

fn cache_folder() -> Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let base = match base {
        Some(base) => base,
        None => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    Ok(base.join("scrapefleet"))
}

fn hash_of_lock() -> Result<String> {
    let lock = fs::read(scripts().join("package-lock.json"))?;
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::digest(lock)[..8]);
    Ok(format!("{:016x}", u64::from_be_bytes(first)))
}

/// Installs beside the final folder, then renames: a folder of the final name is always whole.
fn install_into(cache: &Path, folder: &Path) -> Result<()> {
    let fresh = tempfile::Builder::new().prefix("installing-").tempdir_in(cache)?;
    for name in MANIFESTS {
        fs::copy(scripts().join(name), fresh.path().join(name))?;
    }
    let output = Command::new("npm")
        .args(["ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(fresh.path())
        .output()
        .context("cannot run npm; install Node.js 20 or later (Debian: apt-get install nodejs npm)")?;
    ensure!(
        output.status.success(),
        "npm ci failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    fs::rename(fresh.keep(), folder)
        .with_context(|| format!("cannot move the packages to {}", folder.display()))
}
