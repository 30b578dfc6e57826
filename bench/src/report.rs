//! A report: figures as a table for people and as JSON for programs.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context, Result};

use crate::Figure;

/// Figures in the order they were measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The figures.
    pub figures: Vec<Figure>,
}

impl Report {
    /// Whether every bound holds; a report without figures proves nothing.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.figures.is_empty() && self.figures.iter().all(|figure| figure.holds)
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> String {
        let head = ["figure", "value", "unit", "bound", "holds", "peer"].map(str::to_owned);
        let rows: Vec<[String; 6]> = std::iter::once(head).chain(self.figures.iter().map(row)).collect();
        let widths: [usize; 6] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        rows.iter().map(|row| line(row, widths)).collect()
    }

    /// Writes the figures as a JSON list.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json =
            serde_json::to_string_pretty(&self.figures).context("the report cannot be written as JSON")?;
        std::fs::write(path, json + "\n").with_context(|| format!("{} cannot be written", path.display()))
    }
}

fn row(figure: &Figure) -> [String; 6] {
    let peer = match (figure.peer, figure.peer_value) {
        (Some(peer), Some(value)) => format!("{} ({peer})", number(value)),
        _ => String::new(),
    };
    let holds = if figure.holds { "yes" } else { "NO" };
    [
        figure.name.clone(),
        number(figure.value),
        figure.unit.to_owned(),
        figure.bound.to_string(),
        holds.to_owned(),
        peer,
    ]
}

/// Left-aligned, but for the value.
fn line(row: &[String; 6], widths: [usize; 6]) -> String {
    let mut line = String::new();
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        let padding = " ".repeat(width - cell.chars().count());
        let (before, after) = if column == 1 { (padding.as_str(), "") } else { ("", padding.as_str()) };
        // cannot fail: a String takes all that is written to it
        let _ = write!(line, "{before}{cell}{after}  ");
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

/// Three digits that matter for small values, whole numbers for large ones.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bound;

    fn report() -> Report {
        let figures = vec![
            Figure::new("watcher delay, p99", 312.0, "ms", Bound::AtMost(500.0))
                .beside("reload every 1 s", 1004.2),
            Figure::new("own memory", 41.26, "MiB", Bound::AtMost(40.0)),
        ];
        Report { figures }
    }

    #[test]
    fn the_table_lines_up_and_says_what_does_not_hold() {
        let expected = "\
figure              value  unit  bound   holds  peer
watcher delay, p99    312  ms    <= 500  yes    1004 (reload every 1 s)
own memory           41.3  MiB   <= 40   NO
";
        assert_eq!(report().table(), expected);
    }

    #[test]
    fn it_holds_only_when_every_figure_does_and_there_is_one() {
        let mut report = report();
        assert!(!report.holds());
        report.figures.pop();
        assert!(report.holds());
        assert!(!Report::default().holds());
    }

    #[test]
    fn the_file_is_a_json_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        report().write(&path).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(read[0]["value"], 312.0);
        assert_eq!(read[1]["holds"], false);
    }

    #[test]
    fn a_report_that_cannot_be_written_names_its_path() {
        let error = report().write(Path::new("/nonexistent/report.json")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/report.json"), "{error}");
    }

    #[test]
    fn numbers_keep_the_digits_that_matter() {
        for (value, text) in [(0.123, "0.12"), (9.999, "10.00"), (41.26, "41.3"), (20_000.4, "20000")] {
            assert_eq!(number(value), text);
        }
    }
}
