//! Running a program of this machine to its end, with an error that says what was run and what it answered.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::project::tell_nothing_of_this_run;

/// How much of a failed program's output an error shows: the end of it.
const SHOWN: usize = 2000;

/// A program to run to its end.
#[derive(Debug)]
pub(crate) struct Tool {
    command: Command,
    words: Vec<OsString>,
    input: Option<String>,
}

impl Tool {
    /// A run of this program.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.stdin(Stdio::null());
        Self { command, words: vec![program.as_ref().to_owned()], input: None }
    }

    /// Called by this name.
    pub(crate) fn called(mut self, name: &str) -> Self {
        self.command.arg0(name);
        self
    }

    /// With one more argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument.as_ref());
        self.words.push(argument.as_ref().to_owned());
        self
    }

    /// With more arguments.
    pub(crate) fn args<I: IntoIterator<Item: AsRef<OsStr>>>(self, arguments: I) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// With this environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Without what `cargo run` has told this program about itself.
    pub(crate) fn told_nothing_of_this_run(mut self) -> Self {
        tell_nothing_of_this_run(&mut self.command);
        self
    }

    /// In this folder.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// With this text as its standard input.
    pub(crate) fn input(mut self, text: String) -> Self {
        self.command.stdin(Stdio::piped());
        self.input = Some(text);
        self
    }

    /// Runs it; an exit code other than 0 is an error.
    pub(crate) fn run(self) -> Result<()> {
        self.output().map(drop)
    }

    /// Runs it and gives what it printed; an exit code other than 0 is an error with the end of what it printed.
    pub(crate) fn output(self) -> Result<String> {
        let line = self.line();
        let output = self.finish()?;
        if !output.status.success() {
            let said = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            bail!("{line}: {}\n{}", output.status, end_of(&said, SHOWN));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it and gives what came of it, whatever that is.
    pub(crate) fn finish(mut self) -> Result<Output> {
        let line = self.line();
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().with_context(|| format!("run {line}"))?;
        if let (Some(text), Some(mut pipe)) = (self.input.take(), child.stdin.take()) {
            // A program that ends without reading its input says why by its exit code.
            let _ = pipe.write_all(text.as_bytes());
        }
        child.wait_with_output().with_context(|| format!("wait for {line}"))
    }

    fn line(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }
}

/// The last `limit` bytes of a text, from a character boundary on.
pub(crate) fn end_of(text: &str, limit: usize) -> &str {
    let text = text.trim_end();
    let mut start = text.len().saturating_sub(limit);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_run_and_what_it_answered() {
        let error =
            Tool::new("sh").args(["-c", "echo out; echo wrong >&2; exit 3"]).run().unwrap_err().to_string();
        assert!(
            error.contains("sh -c")
                && error.contains("wrong")
                && error.contains("out")
                && error.contains('3'),
            "{error}"
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = format!("{:#}", Tool::new("no-such-program").run().unwrap_err());
        assert!(error.contains("no-such-program"), "{error}");
    }

    #[test]
    fn a_program_sees_the_name_it_is_called_by() {
        assert_eq!(Tool::new("sh").called("kubectl").args(["-c", "echo $0"]).output().unwrap(), "kubectl\n");
    }

    #[test]
    fn input_reaches_the_program() {
        assert_eq!(Tool::new("cat").input("hello".to_owned()).output().unwrap(), "hello");
    }

    #[test]
    fn the_end_of_a_text_never_splits_a_character() {
        assert_eq!(end_of("aé", 1), "");
        assert_eq!(end_of("aé", 2), "é");
        assert_eq!(end_of("abc\n", 2), "bc");
    }
}
