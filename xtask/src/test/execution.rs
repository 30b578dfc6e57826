//! Running test executables: some beside each other, whose output is shown when each has ended, or one after the other.

use std::{
    ffi::OsString,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, stream};
use scrapefleet_policy::within;
use tokio::process::Command;

use super::executable::{Executable, cores};
use crate::{phase::spoken, project::tell_nothing_of_this_run};

/// How long one executable may run: several times what the longest takes on two cores.
const LONGEST: Duration = Duration::from_mins(40);

/// More heavy executables than this beside each other, or light ones, make timings of tests unlike those on an ordinary
/// machine.
const MOST_BESIDE: usize = 2;

/// The variable from which a test executable takes its number of threads.
const THREADS: &str = "RUST_TEST_THREADS";

/// How test executables are run.
#[derive(Debug, Clone, Default)]
pub(super) struct Execution {
    /// What stands after them: parts of test names, and options.
    pub(super) filters: Vec<OsString>,
    /// Variables that they are given.
    pub(super) variables: Vec<(&'static str, OsString)>,
}

/// What became of executables that ran in turn: the sources of those that did not pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// They failed.
    pub(super) failed: Vec<String>,
    /// There was no time for them.
    pub(super) left_out: Vec<String>,
}

/// When what an executable says is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// As it comes.
    AsItComes,
    /// In one piece, when it has ended.
    AtTheEnd,
}

impl Execution {
    /// Runs as many beside each other as there are cores, half of them heavy ones, and gives the sources of those that
    /// failed. What each says is shown when it has ended.
    pub(super) async fn beside(&self, executables: &[Executable]) -> Vec<String> {
        let lane = async |heavy: bool| -> Vec<String> {
            let all = executables.iter().filter(|executable| executable.is_heavy() == heavy);
            let runs = all.map(|executable| self.run(executable, Shown::AtTheEnd));
            let ended = stream::iter(runs).buffer_unordered((cores() / 2).clamp(1, MOST_BESIDE));
            ended.filter_map(|failed| async { failed }).collect().await
        };
        let (heavy, light) = tokio::join!(lane(true), lane(false));
        [heavy, light].concat()
    }

    /// Runs one after the other, beside others, and gives the sources of those that failed. What each says is shown when it
    /// has ended.
    pub(super) async fn in_turn(&self, executables: &[Executable]) -> Vec<String> {
        let runs = stream::iter(executables).then(|executable| self.run(executable, Shown::AtTheEnd));
        runs.filter_map(|failed| async { failed }).collect().await
    }

    /// Runs one after the other, alone; none of chaos that would begin after `until`. What each says is shown as it comes.
    pub(super) async fn alone(&self, executables: &[Executable], until: Option<Instant>) -> Outcome {
        let mut outcome = Outcome::default();
        for executable in executables {
            if executable.is_of_chaos() && until.is_some_and(|until| Instant::now() >= until) {
                outcome.left_out.push(executable.source.clone());
                continue;
            }
            eprintln!("── {}", executable.source);
            outcome.failed.extend(self.run(executable, Shown::AsItComes).await);
        }
        outcome
    }

    /// Its source, if it failed.
    async fn run(&self, executable: &Executable, shown: Shown) -> Option<String> {
        let began = Instant::now();
        let (word, said) = match output(self.command(executable, shown)).await {
            Ok(output) => {
                let word = if output.status.success() { "passed" } else { "FAILED" };
                (word.to_owned(), [output.stdout, output.stderr].concat())
            }
            Err(error) => (format!("FAILED, {error:#}"), Vec::new()),
        };
        let said = String::from_utf8_lossy(&said);
        eprintln!(
            "── {} {word}, {}\n{}",
            executable.source,
            spoken(began.elapsed()),
            said.trim_matches('\n')
        );
        (word != "passed").then(|| executable.source.clone())
    }

    fn command(&self, executable: &Executable, shown: Shown) -> Command {
        let mut command = Command::new(&executable.file);
        tell_nothing_of_this_run(command.as_std_mut());
        if std::env::var_os(THREADS).is_none() {
            command.env(THREADS, executable.threads(cores()).to_string());
        }
        command.envs(self.variables.iter().cloned()).args(&self.filters);
        if shown == Shown::AtTheEnd {
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        command.current_dir(&executable.folder).kill_on_drop(true);
        command
    }
}

async fn output(mut command: Command) -> Result<Output> {
    let child = command.spawn().context("it cannot be started")?;
    Ok(within(LONGEST, "the executable", child.wait_with_output()).await??)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs that stand in for test executables: they get what a test executable gets.
    fn program(file: &str) -> Executable {
        Executable { source: file.to_owned(), folder: "/".into(), file: file.into() }
    }

    fn sh(script: &str) -> Execution {
        Execution { filters: ["-c", script].map(OsString::from).to_vec(), ..Execution::default() }
    }

    #[tokio::test]
    async fn those_that_fail_are_named_and_the_others_run_all_the_same() {
        let all = [program("/bin/sh"), program("/no/such/program"), program("/bin/sh")];
        assert_eq!(sh("exit 0").beside(&all).await, ["/no/such/program"]);
        assert_eq!(sh("exit 0").in_turn(&all).await, ["/no/such/program"]);
        assert_eq!(sh("exit 0").alone(&all, None).await.failed, ["/no/such/program"]);
        assert_eq!(sh("exit 3").beside(&all).await.len(), 3);
        assert_eq!(sh("exit 3").in_turn(&all).await.len(), 3);
        assert_eq!(sh("exit 3").alone(&all, None).await.failed.len(), 3);
    }

    #[tokio::test]
    async fn of_chaos_what_would_begin_too_late_is_left_out_and_named() {
        let faults = Executable { source: "tests/chaos/tests/faults.rs".to_owned(), ..program("/bin/sh") };
        let all = [program("/bin/sh"), faults];
        let outcome = sh("exit 3").alone(&all, Some(Instant::now())).await;
        let sources = |executable: &Executable| vec![executable.source.clone()];
        assert_eq!(outcome, Outcome { failed: sources(&all[0]), left_out: sources(&all[1]) });
        let later = Instant::now() + Duration::from_mins(1);
        assert!(sh("exit 0").alone(&all, Some(later)).await == Outcome::default());
    }

    #[tokio::test]
    async fn an_executable_runs_in_its_folder_with_its_variables_and_nothing_of_this_run() {
        let mut execution =
            sh(r#"test "$PWD$GIVEN" = /so && test -n "$RUST_TEST_THREADS" && test -z "$CARGO_PKG_NAME""#);
        execution.variables.push(("GIVEN", "so".into()));
        assert_eq!(execution.beside(&[program("/bin/sh")]).await, [""; 0]);
    }
}
