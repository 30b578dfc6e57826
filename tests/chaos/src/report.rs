//! What a person gets of a run: each fault, each scenario's figures beside their bounds, and the books.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Serialize;

use crate::{Scenario, books::Books, effect::Effect, scenario::Measure};

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When it began.
    pub began: Timestamp,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The seed of its choices.
    pub seed: u64,
    /// Every fault and what it did, in order.
    pub faults: Vec<Effect>,
    /// Faults that were left out, in order.
    pub skipped: Vec<Skipped>,
    /// Every scenario's figures.
    pub figures: Vec<Figure>,
    /// Every battle.
    pub books: Books,
    /// What went wrong with the run itself.
    pub failures: Vec<String>,
}

/// A fault of a random run that was left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// Which.
    pub scenario: &'static str,
    /// Why.
    pub why: String,
}

/// What was measured of a scenario, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    /// The scenario.
    pub scenario: &'static str,
    /// What was measured.
    pub measure: Measure,
    /// How often.
    pub count: usize,
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The largest.
    pub max: f64,
    /// What the 95th percentile must be below; none: it is told, and nothing is promised.
    pub bound: Option<f64>,
    /// Whether it is.
    pub holds: bool,
}

impl Report {
    /// Whether nothing is lost, doubled or different, nothing was done to pods that no fault struck, and the run itself went
    /// as it should. Bounds are figures: see [`Report::bounds_hold`].
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.books.balance()
            && self.failures.is_empty()
            && self.faults.iter().all(|fault| fault.forsaken.is_empty() && fault.wrong.is_empty())
    }

    /// Whether every bound holds, and all that a bound is for was seen.
    #[must_use]
    pub fn bounds_hold(&self) -> bool {
        let seen = |effect: &Effect| {
            let bounds = Scenario::of_name(effect.scenario).map(Scenario::bounds).unwrap_or_default();
            bounds.iter().all(|(measure, _)| !effect.unseen.contains(measure))
        };
        self.figures.iter().all(|figure| figure.holds) && self.faults.iter().all(seen)
    }

    /// Writes it as JSON.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self).context("the report cannot be written as JSON")?;
        std::fs::write(path, json + "\n").with_context(|| format!("{} cannot be written", path.display()))
    }

    /// The figures and the books, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let columns = ["scenario", "measure", "n", "p50", "p95", "max", "bound", "holds"].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(columns).chain(self.figures.iter().map(row)).collect();
        let widths: [usize; 8] =
            std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            // cannot fail: a String takes all that is written to it
            let _ = writeln!(text, "{}", line.trim_end());
        }
        for fault in self.faults.iter().filter(|fault| !fault.unseen.is_empty()) {
            let unseen: Vec<_> = fault.unseen.iter().map(|measure| measure.word()).collect();
            let _ = writeln!(text, "{} at {}: not seen: {}", fault.scenario, fault.at, unseen.join(", "));
        }
        for fault in &self.faults {
            for wrong in &fault.wrong {
                let _ = writeln!(text, "{} at {}: WRONG: {wrong}", fault.scenario, fault.at);
            }
        }
        for Skipped { scenario, why } in &self.skipped {
            let _ = writeln!(text, "{scenario}: skipped: {why}");
        }
        let took = self.faults.iter().map(|fault| format!("{} {:.0} s", fault.scenario, fault.took));
        let _ = writeln!(text, "until all was well again: {}", took.collect::<Vec<_>>().join(", "));
        let forsaken = self.faults.iter().flat_map(|fault| &fault.forsaken).cloned().collect::<Vec<_>>();
        self.write_books(&mut text, &forsaken);
        for failure in &self.failures {
            let _ = writeln!(text, "FAILED: {failure}");
        }
        text
    }

    fn write_books(&self, text: &mut String, forsaken: &[String]) {
        let books = &self.books;
        let _ = writeln!(
            text,
            "\n{} faults in {:.0} s; battles logged by the server: {}; stored and compared: {}; unseen while nobody could \
             see the list: {}; gone: {}; dead: {}",
            self.faults.len(),
            self.seconds,
            books.battles,
            books.compared,
            books.unseen.len(),
            books.gone.len(),
            books.dead.len(),
        );
        let mismatched: Vec<_> =
            books.mismatched.iter().map(|(item, why)| format!("{item}: {why}")).collect();
        for (what, items) in [
            ("lost", &books.lost),
            ("duplicated", &books.duplicated),
            ("mismatched", &mismatched),
            ("never held again", &forsaken.to_vec()),
        ] {
            let _ = writeln!(text, "{what}: {}", items.len());
            for item in items.iter().take(20) {
                let _ = writeln!(text, "  {item}");
            }
        }
        for (item, why) in books.dead.iter().take(20) {
            let _ = writeln!(text, "dead: {item}: {why}");
        }
        let balance = if books.ledger.balances() { "balances" } else { "does NOT balance" };
        let _ = writeln!(text, "the ledger {balance}");
    }
}

fn row(figure: &Figure) -> [String; 8] {
    let seconds = |value: f64| format!("{value:.1} s");
    [
        figure.scenario.to_owned(),
        figure.measure.word().to_owned(),
        figure.count.to_string(),
        seconds(figure.p50),
        seconds(figure.p95),
        seconds(figure.max),
        figure.bound.map(|bound| format!("< {bound:.0} s")).unwrap_or_default(),
        if figure.bound.is_none() {
            ""
        } else if figure.holds {
            "yes"
        } else {
            "NO"
        }
        .to_owned(),
    ]
}

/// Each scenario's figures, in the order of the scenarios.
#[must_use]
pub fn figures(effects: &[Effect]) -> Vec<Figure> {
    let mut values: BTreeMap<(usize, Measure), Vec<f64>> = BTreeMap::new();
    for effect in effects {
        let place = Scenario::ALL.iter().position(|scenario| scenario.name() == effect.scenario);
        for (measure, value) in &effect.measures {
            values.entry((place.unwrap_or(usize::MAX), *measure)).or_default().push(*value);
        }
    }
    let figure = |((place, measure), values): ((usize, Measure), Vec<f64>)| {
        let scenario = Scenario::ALL.get(place)?;
        Some(figure(*scenario, measure, values))
    };
    values.into_iter().filter_map(figure).collect()
}

fn figure(scenario: Scenario, measure: Measure, mut values: Vec<f64>) -> Figure {
    values.sort_by(f64::total_cmp);
    let bound = scenario.bounds().iter().find(|(of, _)| *of == measure).map(|(_, bound)| *bound);
    let p95 = percentile(&values, 95);
    Figure {
        scenario: scenario.name(),
        measure,
        count: values.len(),
        p50: percentile(&values, 50),
        p95,
        max: percentile(&values, 100),
        bound,
        holds: bound.is_none_or(|bound| p95 < bound),
    }
}

/// The value that so many of a hundred do not exceed: one of those measured.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(scenario: Scenario, held_again: Option<f64>) -> Effect {
        Effect {
            scenario: scenario.name(),
            at: Timestamp::UNIX_EPOCH,
            struck: Vec::new(),
            items: 1,
            measures: held_again.map(|value| (Measure::HeldAgain, value)).into_iter().collect(),
            unseen: if held_again.is_none() { vec![Measure::HeldAgain] } else { Vec::new() },
            forsaken: Vec::new(),
            bystanders: Vec::new(),
            gaps: 0,
            wrong: Vec::new(),
            took: 21.4,
        }
    }

    fn report(faults: Vec<Effect>) -> Report {
        Report {
            began: Timestamp::UNIX_EPOCH,
            seconds: 1.0,
            seed: 1,
            figures: figures(&faults),
            faults,
            skipped: Vec::new(),
            books: Books::default(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let of = |values: &[f64]| [50, 95, 100].map(|percent| percentile(values, percent).to_string());
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(of(&hundred), ["50", "95", "100"]);
        assert_eq!(of(&[3.0, 4.0]), ["3", "4", "4"]);
    }

    #[test]
    fn a_bound_is_for_the_95th_percentile() {
        let many = |slow| {
            let mut effects = vec![effect(Scenario::HungChrome, Some(2.0)); 20 - slow];
            effects.extend(vec![effect(Scenario::HungChrome, Some(9.0)); slow]);
            report(effects)
        };
        assert!(many(1).bounds_hold() && !many(2).bounds_hold());
        assert!(many(2).text().contains("9.0 s  9.0 s  < 5 s  NO"), "{}", many(2).text());
    }

    #[test]
    fn what_was_not_seen_holds_no_bound() {
        let report =
            report(vec![effect(Scenario::HungChrome, Some(2.0)), effect(Scenario::HungChrome, None)]);
        assert!(!report.bounds_hold() && report.is_clean());
        assert!(report.text().contains("not seen: held again"));
    }

    #[test]
    fn a_run_with_something_wrong_is_not_clean_and_one_that_left_something_out_is() {
        let mut run = report(vec![effect(Scenario::SiteDead, None)]);
        run.skipped
            .push(Skipped { scenario: "node-gone", why: "every bot is on a node with services".into() });
        assert!(run.is_clean() && run.text().contains("node-gone: skipped: every bot"), "{}", run.text());
        assert!(run.text().contains("until all was well again: site-dead 21 s\n"), "{}", run.text());
        run.faults[0].wrong.push("pods ended that it did not strike: a".to_owned());
        assert!(!run.is_clean() && run.text().contains("WRONG: pods ended that it did not strike: a"));
    }

    #[test]
    fn a_run_with_something_lost_is_not_clean() {
        let mut lossy = report(Vec::new());
        assert!(lossy.is_clean());
        lossy.books.lost.push("battle-a-1".to_owned());
        assert!(!lossy.is_clean() && lossy.text().contains("lost: 1\n  battle-a-1"));
    }
}
