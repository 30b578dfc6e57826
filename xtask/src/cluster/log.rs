//! The log files of components: the end of one, and the line that says why it failed.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// How much of a log's end is looked at, in bytes.
const LOOKED_AT: u64 = 64 * 1024;

/// The last lines of a log.
pub(crate) fn last_lines(file: &Path, count: usize) -> Vec<String> {
    let text = end(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
}

/// The last line that reads like an error, or else the last line.
pub(crate) fn last_error(file: &Path) -> Option<String> {
    let text = end(file).unwrap_or_default();
    let lines = || text.lines().rev().filter(|line| !line.trim().is_empty());
    lines().find(|line| is_error(line)).or_else(|| lines().next()).map(str::to_owned)
}

/// Whether a line is an error: klog begins it with E or F and the date, zap and logrus name the level, programs that
/// give up say so.
fn is_error(line: &str) -> bool {
    let mut characters = line.chars();
    let klog =
        matches!(characters.next(), Some('E' | 'F')) && characters.next().is_some_and(|c| c.is_ascii_digit());
    let names = [
        "level=error",
        "level=fatal",
        "\"level\":\"error\"",
        "\"level\":\"fatal\"",
        "[ERROR]",
        "panic:",
        "Error:",
        "error:",
    ];
    klog || names.iter().any(|name| line.contains(name))
}

fn end(file: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOOKED_AT)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn the_error_is_found_above_what_came_after_it() {
        let cases = [
            ("I0101 fine\nE0101 12:00 a.go:1] broke\nI0101 bye\n", "E0101 12:00 a.go:1] broke"),
            ("level=info msg=a\ntime=x level=fatal msg=b\n\n", "time=x level=fatal msg=b"),
            ("Every line\nEnds\n", "Ends"),
        ];
        for (text, expected) in cases {
            assert_eq!(last_error(log(text).path()).unwrap(), expected);
        }
        assert_eq!(last_error(log("").path()), None);
        assert_eq!(last_error(Path::new("/nowhere")), None);
    }

    #[test]
    fn only_the_last_lines_are_given() {
        let text = ["0", "1", "2", "3", "4", "5", "6", "7", "8"].join("\n");
        assert_eq!(last_lines(log(&text).path(), 2), ["7", "8"]);
        assert_eq!(last_lines(log("one\n").path(), 20), ["one"]);
    }
}
