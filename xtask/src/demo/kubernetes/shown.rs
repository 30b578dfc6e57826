//! How progress is shown: one line that changes on a terminal, a line for each change elsewhere.

use std::io::{self, IsTerminal as _, Stderr, Write};

/// The longest line on a terminal, in characters; a longer one would not stay on its line.
const LONGEST: usize = 110;

/// What is shown of the progress.
#[derive(Debug)]
pub(super) struct Shown<W = Stderr> {
    to: W,
    /// Whether `to` is a terminal.
    live: bool,
    last: String,
}

impl Shown {
    /// Shows it on stderr.
    pub(super) fn on_stderr() -> Self {
        Self::on(io::stderr(), io::stderr().is_terminal())
    }
}

impl<W: Write> Shown<W> {
    fn on(to: W, live: bool) -> Self {
        Self { to, live, last: String::new() }
    }

    /// Shows a line, unless it is the one that is shown.
    pub(super) fn show(&mut self, line: &str) {
        if self.last == line {
            return;
        }
        line.clone_into(&mut self.last);
        // A progress that cannot be shown is no reason to stop.
        let _ = if self.live {
            write!(self.to, "\r\x1b[2K{}", shortened(line))
        } else {
            writeln!(self.to, "{line}")
        };
        let _ = self.to.flush();
    }

    /// Leaves the last line standing.
    pub(super) fn end(&mut self) {
        if self.live && !self.last.is_empty() {
            let _ = writeln!(self.to);
        }
    }
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(live: bool, lines: &[&str]) -> String {
        let mut shown = Shown::on(Vec::new(), live);
        for line in lines {
            shown.show(line);
        }
        shown.end();
        String::from_utf8(shown.to).unwrap()
    }

    #[test]
    fn elsewhere_than_on_a_terminal_each_change_is_a_whole_line() {
        let long = "é".repeat(300);
        assert_eq!(shown(false, &["a", "a", "b", &long]), format!("a\nb\n{long}\n"));
        assert_eq!(shown(false, &[]), "");
    }

    #[test]
    fn on_a_terminal_one_line_changes_and_stays_a_line() {
        assert_eq!(shown(true, &["a", "a", "b"]), "\r\x1b[2Ka\r\x1b[2Kb\n");
        let long = shown(true, &[&"é".repeat(300)]);
        assert_eq!(long.matches('é').count(), LONGEST);
        assert!(long.ends_with("…\n"));
        assert_eq!(shown(true, &[]), "");
    }
}
