//! Running other programs: to read what they say, or to let them talk to the person at the terminal.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// How much of a failed program's output is shown; the end of it says what went wrong.
const SHOWN: usize = 4_000;

/// Runs a program that shares this terminal; an exit code other than 0 is an error.
pub(crate) async fn show(mut command: Command) -> Result<()> {
    let said = described(&command);
    let status =
        command.kill_on_drop(true).status().await.with_context(|| format!("`{said}` cannot be started"))?;
    if !status.success() {
        bail!("`{said}` ended with {status}");
    }
    Ok(())
}

/// Runs a program that says how far it is on this terminal, and returns what it wrote to stdout; an exit code other than 0
/// is an error.
pub(crate) async fn show_and_read(mut command: Command) -> Result<String> {
    let said = described(&command);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("`{said}` cannot be started"))?;
    if !output.status.success() {
        bail!("`{said}` ended with {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program in silence and returns what it wrote to stdout. When it fails or takes longer than
/// `limit`, the error ends with the last of its output.
pub(crate) async fn read(mut command: Command, limit: Duration) -> Result<String> {
    let said = described(&command);
    let output = Box::pin(command.stdin(Stdio::null()).kill_on_drop(true).output());
    let output = scrapefleet_policy::within(limit, "a program", output)
        .await
        .with_context(|| format!("`{said}` was ended"))?
        .with_context(|| format!("`{said}` cannot be started"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let all = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
    bail!("`{said}` ended with {}:\n{}", output.status, end_of(&all))
}

/// The command as a person would type it.
fn described(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The last part of a text, from the start of a line where that is possible.
fn end_of(text: &str) -> &str {
    let text = text.trim_end();
    if text.len() <= SHOWN {
        return text;
    }
    let from = text.ceil_char_boundary(text.len() - SHOWN);
    let tail = &text[from..];
    tail.split_once('\n').map_or(tail, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn reads_what_a_program_says() {
        assert_eq!(read(shell("echo 150.0"), SOON).await.unwrap(), "150.0\n");
    }

    #[tokio::test]
    async fn what_a_program_shows_is_not_what_is_read() {
        assert_eq!(show_and_read(shell("echo built; echo building >&2")).await.unwrap(), "built\n");
        let error = show_and_read(shell("exit 3")).await.unwrap_err().to_string();
        assert!(error.contains("sh -c exit 3") && error.contains("exit status: 3"), "{error}");
    }

    #[tokio::test]
    async fn a_failure_shows_the_command_its_code_and_its_output() {
        let error = read(shell("echo out; echo err >&2; exit 3"), SOON).await.unwrap_err().to_string();
        for part in ["sh -c", "exit status: 3", "out", "err"] {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_an_error() {
        let error = read(shell("sleep 60"), Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "`sh -c sleep 60` was ended: a program did not finish within 50ms");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = show(Command::new("/nonexistent/program")).await.unwrap_err().to_string();
        assert_eq!(error, "`/nonexistent/program` cannot be started");
    }

    #[test]
    fn the_end_of_a_long_text_starts_with_a_whole_line() {
        let text = format!("{}\n{}", "é".repeat(10), "line\n".repeat(2_000));
        let end = end_of(&text);
        assert!(end.len() <= SHOWN && end.starts_with("line\n") && end.ends_with("line"));
        assert_eq!(end_of("short\n"), "short");
    }
}
