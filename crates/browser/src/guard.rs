//! A tiny supervisor that takes the whole browser with it when its parent dies.
//!
//! Chrome outlives the driver that started it, and the driver outlives the bot: a bot that is killed would leave
//! both behind. So the bot starts neither itself. It re-executes its own program as a guard, which becomes the
//! reaper of all that descends from it, starts the driver, and waits. When its standard input ends (the bot asked,
//! or died, however) or the driver ends, it kills every descendant, stopped ones too, removes the browser's
//! folder, and ends.
//!
//! A guard that is killed itself does none of that. The bot notices when it ends the browser, and does it in its place.
//!
//! On its standard output the guard says which process the driver is, in one line that begins with
//! [`ANNOUNCEMENT`]; what the driver says there follows.

mod ending;
mod kill;
mod supervise;

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    process::ExitCode,
};

pub(crate) use ending::end_unguarded;

/// The argument that makes a program that embeds the guard call [`main`].
pub const SUBCOMMAND: &str = "browser-guard";

/// What the line begins with that tells the driver's process id.
pub const ANNOUNCEMENT: &str = "browser-guard: driver is process ";

/// What the guard was told.
#[derive(Debug, PartialEq, Eq)]
struct Orders {
    /// Removed at the end.
    folder: PathBuf,
    /// The driver and its arguments.
    program: OsString,
    args: Vec<OsString>,
}

/// Runs the guard; `args` are what follows [`SUBCOMMAND`]: `--folder FOLDER -- DRIVER ARGUMENTS...`.
///
/// Ends with 0 when nothing is left of the browser, with 1 and a word on standard error otherwise.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let done = read_orders(args).and_then(|orders| supervise::run(&orders));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("browser-guard: {message}");
            ExitCode::FAILURE
        }
    }
}

fn read_orders(args: impl IntoIterator<Item = OsString>) -> Result<Orders, String> {
    let mut args = args.into_iter();
    let mut next = || args.next();
    let (flag, folder, dashes, program) = (next(), next(), next(), next());
    match (
        flag.as_deref().and_then(OsStr::to_str),
        folder,
        dashes.as_deref().and_then(OsStr::to_str),
        program,
    ) {
        (Some("--folder"), Some(folder), Some("--"), Some(program)) => {
            Ok(Orders { folder: folder.into(), program, args: args.collect() })
        }
        _ => {
            Err("called wrongly; it is started by the program itself: --folder FOLDER -- DRIVER ARGUMENTS..."
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(args: &[&str]) -> Result<Orders, String> {
        read_orders(args.iter().map(OsString::from))
    }

    #[test]
    fn reads_its_orders_and_nothing_else() {
        let read = orders(&["--folder", "/tmp/x", "--", "driver", "--port=0"]).unwrap();
        assert_eq!(
            read,
            Orders { folder: "/tmp/x".into(), program: "driver".into(), args: vec!["--port=0".into()] }
        );
        for wrong in
            [&[][..], &["--folder", "/tmp/x"], &["--folder", "/tmp/x", "--"], &["-f", "/tmp/x", "--", "d"]]
        {
            assert!(orders(wrong).unwrap_err().contains("called wrongly"), "{wrong:?}");
        }
    }
}
