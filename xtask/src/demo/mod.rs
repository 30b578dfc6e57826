//! The `demo` task: the whole job on real battles, checked from outside, on this machine or on Kubernetes.

mod folder;
mod kubernetes;
mod local;
mod report;
mod scrape;
mod signals;
mod truth;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;

use crate::{
    arguments::DemoArguments,
    phase::{Phases, spoken},
    project::Project,
};
use report::Outcome;

/// The exit code of a program that a person interrupted, by the custom of shells.
const INTERRUPTED: u8 = 130;

/// Does it all. Whatever was started is stopped, however the demo ends.
pub(crate) async fn run(project: &Project, arguments: &DemoArguments) -> Result<ExitCode> {
    // Both are large.
    if arguments.kubernetes {
        Box::pin(kubernetes::run(project, arguments)).await
    } else {
        Box::pin(local::run(project, arguments)).await
    }
}

/// The folder of a demo's data, `default` under the root of the project unless a person says otherwise. Never relative:
/// the programs of a demo run in the folder of the project.
fn data_folder(project: &Project, arguments: &DemoArguments, default: &str) -> PathBuf {
    let wanted = arguments.data.clone().unwrap_or_else(|| project.root.join(default));
    std::path::absolute(&wanted).unwrap_or(wanted)
}

/// How long the scrape may take before it is stopped. The players finish about twelve battles a minute; a slow machine
/// is given six times as long, and a start.
fn limit(battles: u64) -> Duration {
    Duration::from_mins(5)
        + Duration::from_secs(30).saturating_mul(u32::try_from(battles).unwrap_or(u32::MAX))
}

/// What a demo comes to.
struct Found {
    outcome: Outcome,
    /// Where the stored logs are.
    logs: PathBuf,
    /// What went wrong beside what the outcome complains of.
    wrong: Vec<String>,
    /// Whether a person has ended it early.
    interrupted: bool,
}

/// Says what was found, and decides how the demo ends.
fn conclude(found: &Found, data: &Path, arguments: &DemoArguments, phases: &Phases) -> Result<ExitCode> {
    let outcome = &found.outcome;
    println!("\n{outcome}");
    println!("stored logs   {}", found.logs.display());
    if !outcome.comparison.mismatches.is_empty() {
        let folder = data.join("mismatches");
        truth::write(&outcome.comparison.mismatches, &folder)?;
        println!("mismatches    {}", folder.display());
    }
    if let Some(path) = &arguments.report {
        outcome.write(path)?;
        println!("report        {}", path.display());
    }
    println!();
    let mut complaints = outcome.complaints();
    complaints.extend_from_slice(&found.wrong);
    if complaints.is_empty() {
        println!("The demo succeeded, in {}.", phases.summary());
        return Ok(ExitCode::SUCCESS);
    }
    println!("The demo FAILED after {}: {}.", spoken(phases.elapsed()), complaints.join("; "));
    Ok(if found.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_battles_may_take_longer_and_no_number_overflows() {
        assert!(limit(1) < limit(25));
        assert!(limit(u64::MAX) > limit(1_000_000));
    }
}
