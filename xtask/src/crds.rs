//! The `crds` task: what is generated from the types in `crates/api`. A test of that package compares.

use std::process::ExitCode;

use anyhow::Result;

use crate::{process, project::Project};

/// Generates everything anew.
pub(crate) async fn run(project: &Project) -> Result<ExitCode> {
    let generator = ["run", "--quiet", "--package", "scrapefleet-api", "--bin", "crdgen"];
    process::show(project.cargo(&generator)).await?;
    eprintln!("crds/ and docs/manifest.md are what the types say");
    Ok(ExitCode::SUCCESS)
}
