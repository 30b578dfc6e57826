//! The guard as a program of its own, for tests; programs of the product embed it as a subcommand.

use std::process::ExitCode;

fn main() -> ExitCode {
    scrapefleet_browser::guard::main(std::env::args_os().skip(1))
}
