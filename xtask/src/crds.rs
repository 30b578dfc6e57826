//! The `crds` task: what is generated from the types in `crates/api`. A test of that package compares; the copy in the
//! chart is compared by a test of `chart`.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{chart, process, project::Project};

/// Generates everything anew.
pub(crate) async fn run(project: &Project) -> Result<ExitCode> {
    let generator = ["run", "--quiet", "--package", "scrapefleet-api", "--bin", "crdgen"];
    process::show(project.cargo(&generator)).await?;
    chart::copy_definition(project).context("the chart's copy of the definition")?;
    eprintln!("crds/, its copy in the chart, and docs/manifest.md are what the types say");
    Ok(ExitCode::SUCCESS)
}
