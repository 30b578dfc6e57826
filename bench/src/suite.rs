//! A suite: measurements by name, run one after the other so that they do not disturb each other.

use std::{pin::Pin, time::Instant};

use anyhow::{Result, bail};

use crate::{Figure, Report};

/// What a measurement returns: its figures, some time later.
pub type Measured = Pin<Box<dyn Future<Output = Result<Vec<Figure>>>>>;

/// A measurement and the name by which it is chosen.
#[derive(Debug, Clone, Copy)]
pub struct Measurement {
    /// Its name, as `--only` takes it.
    pub name: &'static str,
    /// Measures.
    pub run: fn() -> Measured,
}

/// What came of a suite.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The figures that were measured.
    pub report: Report,
    /// Measurements that failed to measure, and why.
    pub failures: Vec<String>,
}

impl Outcome {
    /// Whether everything was measured and every bound holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.failures.is_empty() && self.report.holds()
    }
}

/// The measurements whose name contains one of `only`; all of them when that is empty. A word that fits no
/// name is an error that lists the names.
pub fn choose(all: &[Measurement], only: &[String]) -> Result<Vec<Measurement>> {
    for word in only {
        if !all.iter().any(|measurement| measurement.name.contains(word)) {
            let names: Vec<_> = all.iter().map(|measurement| measurement.name).collect();
            bail!("no measurement has a name with `{word}` in it; there are: {}", names.join(", "));
        }
    }
    let chosen = |name: &str| only.is_empty() || only.iter().any(|word| name.contains(word));
    Ok(all.iter().copied().filter(|measurement| chosen(measurement.name)).collect())
}

/// Runs measurements in order. One that fails is noted and the rest run all the same.
pub async fn run(measurements: &[Measurement]) -> Outcome {
    let mut outcome = Outcome::default();
    for measurement in measurements {
        eprintln!("measuring {} ...", measurement.name);
        let started = Instant::now();
        match (measurement.run)().await {
            Ok(figures) => outcome.report.figures.extend(figures),
            Err(error) => outcome.failures.push(format!("{}: {error:#}", measurement.name)),
        }
        eprintln!("measuring {} took {:.1} s", measurement.name, started.elapsed().as_secs_f64());
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bound;

    fn works() -> Measured {
        Box::pin(async { Ok(vec![Figure::new("works", 1.0, "s", Bound::AtMost(2.0))]) })
    }

    fn fails() -> Measured {
        Box::pin(async { bail!("no disk") })
    }

    const ALL: [Measurement; 2] =
        [Measurement { name: "queue", run: fails }, Measurement { name: "memory", run: works }];

    fn names(only: &[&str]) -> Vec<&'static str> {
        let only: Vec<_> = only.iter().map(|word| (*word).to_owned()).collect();
        choose(&ALL, &only).unwrap().iter().map(|measurement| measurement.name).collect()
    }

    #[test]
    fn a_part_of_a_name_chooses() {
        assert_eq!(names(&[]), ["queue", "memory"]);
        assert_eq!(names(&["mem"]), ["memory"]);
        assert_eq!(names(&["mem", "que"]), ["queue", "memory"]);
    }

    #[test]
    fn a_word_that_fits_nothing_is_an_error_with_the_names() {
        let error = choose(&ALL, &["disk".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "no measurement has a name with `disk` in it; there are: queue, memory");
    }

    #[tokio::test]
    async fn one_that_fails_stops_no_other_and_spoils_the_outcome() {
        let outcome = run(&ALL).await;
        assert_eq!(outcome.failures, ["queue: no disk"]);
        assert_eq!(outcome.report.figures.len(), 1);
        assert!(outcome.report.holds() && !outcome.holds());
    }
}
