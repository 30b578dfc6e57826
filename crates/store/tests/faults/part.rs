//! This program again, in another part.

use std::{
    env, fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// Names the part, in the environment of a process that plays one.
pub(crate) const NAME: &str = "SCRAPEFLEET_STORE_TEST_PART";

/// Names its folder.
pub(crate) const FOLDER: &str = "SCRAPEFLEET_STORE_TEST_FOLDER";

/// A user that owns nothing, by number: nobody.
const STRANGER: u32 = 65_534;

/// This program, to play `name` on `folder`.
pub(crate) fn command(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    cast(&mut command, name, folder);
    command
}

fn cast(command: &mut Command, name: &str, folder: &Path) {
    command.env(NAME, name).env(FOLDER, folder).stdin(Stdio::null());
}

/// Plays `name` where it may mount file systems that nobody else sees and that are gone when it ends.
pub(crate) fn in_namespace(name: &str) -> Result<(), String> {
    let folder = TempDir::new().unwrap();
    let command = scrapefleet_test_mounts::command(&env::current_exe().unwrap());
    let Some(mut command) = command.map_err(|error| error.to_string())? else { return Ok(()) };
    cast(&mut command, name, folder.path());
    play(command)
}

/// Plays `name` as a user that may write nowhere.
pub(crate) fn as_stranger(name: &str) -> Result<(), String> {
    let folder = TempDir::new().unwrap();
    if !is_root() {
        return play(command(name, folder.path()));
    }
    // A stranger may not look into the folder where the program was built.
    let stage = TempDir::new().unwrap();
    let copy = stage.path().join("program");
    fs::copy(env::current_exe().unwrap(), &copy).unwrap();
    for path in [stage.path(), folder.path()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(copy);
    command.uid(STRANGER).gid(STRANGER).current_dir("/");
    cast(&mut command, name, folder.path());
    play(command)
}

fn play(mut command: Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    print!("{said}");
    if output.status.success() { Ok(()) } else { Err(format!("{}: {said}", output.status)) }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
