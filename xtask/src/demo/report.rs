//! What a demo found, from what `scrapefleet run` or the fleet's status said, from what `scrapefleet verify` said and from
//! the server's own logs.

use std::{fmt, fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::truth::{Comparison, Mismatch};

/// What `scrapefleet run --report` writes; only what is used here. What is none was not measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct RunReport {
    held_peak: Option<u64>,
    hold_seconds_median: Option<f64>,
    /// The size of all logs.
    pub(super) bytes: Option<u64>,
    pss_mib_peak: Option<f64>,
    pss_mib_per_held: Option<f64>,
    seconds: f64,
}

/// What `scrapefleet verify --json` prints; only what is used here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Ledger {
    discovered: u64,
    ready: u64,
    delayed: u64,
    held: u64,
    pub(super) stored: u64,
    dead: u64,
    gone: u64,
    missing: Vec<serde_json::Value>,
    doubled: Vec<serde_json::Value>,
    unreadable: Vec<serde_json::Value>,
    unknown: Vec<serde_json::Value>,
    balanced: bool,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub(super) wanted: u64,
    /// The players' seed; none when the server is not the demo's own.
    pub(super) seed: Option<u64>,
    pub(super) run: RunReport,
    pub(super) ledger: Ledger,
    pub(super) comparison: Comparison,
}

/// What `--report` writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Report {
    discovered: u64,
    stored: u64,
    dead: u64,
    gone: u64,
    lost: usize,
    duplicates: usize,
    mismatches: usize,
    held_peak: Option<u64>,
    pss_mib_peak: Option<f64>,
    pss_mib_per_held: Option<f64>,
    seconds: f64,
    seed: Option<u64>,
}

impl RunReport {
    /// Reads the file that the run wrote.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("the run left no report in {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not a report of a run", path.display()))
    }

    /// What can be told of a fleet on a cluster: the most that its status said were held, and how long it took.
    pub(super) fn of_fleet(held_peak: u64, seconds: f64) -> Self {
        Self { held_peak: Some(held_peak), seconds, ..Self::default() }
    }
}

impl Ledger {
    /// Reads what the verification printed.
    pub(super) fn read(json: &str) -> Result<Self> {
        serde_json::from_str(json).context("`scrapefleet verify --json` printed no ledger")
    }

    /// What is wrong, a line for each kind; none when it balances.
    fn complaints(&self) -> Vec<String> {
        let kinds = [
            ("lost", &self.missing),
            ("doubled", &self.doubled),
            ("unreadable", &self.unreadable),
            ("never discovered", &self.unknown),
        ];
        let mut lines: Vec<String> = kinds
            .iter()
            .filter(|(_, items)| !items.is_empty())
            .map(|(what, items)| format!("{} {what}, as {}", items.len(), items[0]))
            .collect();
        if !self.balanced && lines.is_empty() {
            lines.push("the ledger does not balance".to_owned());
        }
        lines
    }
}

impl Outcome {
    /// Everything that is not as it should be; none when the demo has succeeded.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut complaints = self.ledger.complaints();
        if let Some(first) = self.comparison.mismatches.first() {
            let count = self.comparison.mismatches.len();
            let Mismatch { id, why, .. } = first;
            complaints.push(format!("{count} stored logs are not the server's own, as {id} ({why})"));
        }
        if self.ledger.stored < self.wanted {
            complaints.push(format!("{} battles stored, {} wanted", self.ledger.stored, self.wanted));
        }
        complaints
    }

    /// Writes the report as JSON.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let json =
            serde_json::to_string_pretty(&self.report()).context("the report cannot be written as JSON")?;
        fs::write(path, json + "\n").with_context(|| format!("{} cannot be written", path.display()))
    }

    fn report(&self) -> Report {
        let Self { seed, run, ledger, comparison, .. } = self;
        Report {
            discovered: ledger.discovered,
            stored: ledger.stored,
            dead: ledger.dead,
            gone: ledger.gone,
            lost: ledger.missing.len(),
            duplicates: ledger.doubled.len(),
            mismatches: comparison.mismatches.len(),
            held_peak: run.held_peak,
            pss_mib_peak: run.pss_mib_peak,
            pss_mib_per_held: run.pss_mib_per_held,
            seconds: run.seconds,
            seed: *seed,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, ledger, comparison, .. } = self;
        let Ledger { discovered, ready, delayed, held, stored, dead, gone, .. } = ledger;
        writeln!(f, "battles       {stored} stored in {:.0} s", run.seconds)?;
        writeln!(
            f,
            "ledger        {discovered} discovered = {ready} ready + {delayed} delayed + {held} held + {stored} stored + {dead} dead + {gone} gone{}",
            if ledger.balanced { "" } else { "  DOES NOT BALANCE" }
        )?;
        let equal = comparison.compared - comparison.mismatches.len();
        writeln!(f, "logs          {equal} of {} equal the server's own", comparison.compared)?;
        writeln!(f, "size          {}", run.bytes.map_or_else(not_measured, kilobytes))?;
        writeln!(
            f,
            "median hold   {}",
            run.hold_seconds_median.map_or_else(not_measured, |s| format!("{s:.1} s"))
        )?;
        let held = run.held_peak.map_or_else(not_measured, |held| format!("{held} at most"));
        writeln!(f, "held at once  {held}")?;
        write!(f, "memory        {}", memory(run))
    }
}

fn not_measured() -> String {
    "not measured".to_owned()
}

fn memory(run: &RunReport) -> String {
    let mib = |value: Option<f64>| value.map_or_else(not_measured, |value| format!("{value:.1} MiB"));
    match (run.pss_mib_peak, run.pss_mib_per_held) {
        (None, None) => not_measured(),
        (peak, held) => {
            format!("{} at most (Chrome and bot, PSS), {} for each held battle", mib(peak), mib(held))
        }
    }
}

/// Bytes in thousands, with one digit behind the point.
fn kilobytes(bytes: u64) -> String {
    format!("{}.{} kB", bytes / 1000, bytes % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = r#"{"discovered": 41, "ready": 14, "delayed": 0, "held": 2, "stored": 25, "dead": 0,
        "gone": 0, "missing": [], "doubled": [], "unreadable": [], "unknown": [], "balanced": true}"#;

    fn outcome() -> Outcome {
        let run = r#"{"held_peak": 12, "hold_seconds_median": 48.25, "bytes": 250999, "pss_mib_peak": 742.0,
            "pss_mib_per_held": 61.8, "seconds": 161.2, "a later field": 1}"#;
        Outcome {
            wanted: 25,
            seed: Some(7),
            run: serde_json::from_str(run).unwrap(),
            ledger: Ledger::read(LEDGER).unwrap(),
            comparison: Comparison { compared: 25, mismatches: vec![] },
        }
    }

    #[test]
    fn the_summary_says_all_that_matters() {
        assert_eq!(
            outcome().to_string(),
            "\
battles       25 stored in 161 s
ledger        41 discovered = 14 ready + 0 delayed + 2 held + 25 stored + 0 dead + 0 gone
logs          25 of 25 equal the server's own
size          250.9 kB
median hold   48.2 s
held at once  12 at most
memory        742.0 MiB at most (Chrome and bot, PSS), 61.8 MiB for each held battle"
        );
    }

    #[test]
    fn the_file_has_every_field_that_is_promised() {
        let expected = serde_json::json!({
            "discovered": 41, "stored": 25, "dead": 0, "gone": 0, "lost": 0, "duplicates": 0, "mismatches": 0,
            "held_peak": 12, "pss_mib_peak": 742.0, "pss_mib_per_held": 61.8, "seconds": 161.2, "seed": 7
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        outcome().write(&path).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(written, expected);
    }

    #[test]
    fn all_well_means_no_complaint() {
        assert_eq!(outcome().complaints(), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_is_wrong_is_said() {
        let mut outcome = outcome();
        outcome.ledger.balanced = false;
        assert_eq!(outcome.complaints(), ["the ledger does not balance"]);
        outcome.ledger.missing = vec!["battle-1".into(), "battle-2".into()];
        outcome.ledger.stored = 24;
        outcome.comparison.mismatches = vec![Mismatch {
            id: "battle-3".to_owned(),
            stored: String::new(),
            server: None,
            why: "odd".to_owned(),
        }];
        assert_eq!(
            outcome.complaints(),
            [
                "2 lost, as \"battle-1\"",
                "1 stored logs are not the server's own, as battle-3 (odd)",
                "24 battles stored, 25 wanted"
            ]
        );
        assert_eq!((outcome.report().lost, outcome.report().mismatches), (2, 1));
    }

    #[test]
    fn what_was_not_measured_is_said_to_be_so() {
        let outcome = Outcome { run: RunReport::default(), seed: None, ..outcome() };
        let said = outcome.to_string();
        for line in ["size          ", "median hold   ", "held at once  ", "memory        "] {
            assert!(said.contains(&format!("{line}not measured")), "{said}");
        }
        let report = serde_json::to_value(outcome.report()).unwrap();
        for field in ["held_peak", "pss_mib_peak", "pss_mib_per_held", "seed"] {
            assert!(report[field].is_null(), "{report}");
        }
    }

    #[test]
    fn a_ledger_that_cannot_be_read_is_an_error() {
        assert!(Ledger::read("{}").unwrap_err().to_string().contains("printed no ledger"));
    }
}
