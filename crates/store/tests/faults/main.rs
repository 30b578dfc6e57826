//! What the directory store does when its process is killed, its disk is full, and its folder cannot be written.
//!
//! Such tests need processes of their own: one to kill, and others with small or read-only file systems mounted where
//! nobody else sees them. Each is this program again, told by its environment which part to play.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::{env, path::PathBuf, process::ExitCode};

use libtest_mimic::{Arguments, Trial};

mod disk;
mod kill;
mod part;

fn main() -> ExitCode {
    let play = |name: &str| {
        let folder = PathBuf::from(env::var_os(part::FOLDER).unwrap_or_default());
        match name {
            "writer" => kill::writer(&folder),
            "full-disk" => disk::full(&folder),
            "no-more-files" => disk::no_more_files(&folder),
            "read-only" => disk::read_only(&folder),
            "stranger" => disk::stranger(&folder),
            other => panic!("no part is called {other}"),
        }
    };
    if let Ok(name) = env::var(part::NAME) {
        play(&name);
        return ExitCode::SUCCESS;
    }
    let trials = vec![
        Trial::test("nothing_is_lost_or_halved_when_a_writer_is_killed_at_any_of_20_moments", || {
            kill::killed_writers();
            Ok(())
        }),
        Trial::test("a_full_disk_is_said_shows_nothing_half_and_recovers", || {
            Ok(part::in_namespace("full-disk")?)
        }),
        Trial::test("a_disk_without_room_for_another_file_is_full_too", || {
            Ok(part::in_namespace("no-more-files")?)
        }),
        Trial::test("a_read_only_disk_is_refused_and_can_still_be_read", || {
            Ok(part::in_namespace("read-only")?)
        }),
        Trial::test("a_folder_of_another_user_is_refused", || Ok(part::as_stranger("stranger")?)),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
