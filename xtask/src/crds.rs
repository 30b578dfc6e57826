//! The `crds` task: custom resource definitions from the types in `crates/api`.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};

use crate::{arguments::CrdsArguments, process, project::Project};

/// A build of the types and their definitions from nothing takes a few minutes on a small machine.
const WITHIN: Duration = Duration::from_mins(30);

/// The file that holds the definition of a `ScrapeFleet`, under the root of the project.
const FILE: &str = "crds/scrapefleets.scrapefleet.io.yaml";

/// Writes the definitions, or only compares them.
pub(crate) async fn run(project: &Project, arguments: &CrdsArguments) -> Result<ExitCode> {
    let wanted = process::read(
        project.cargo(&["run", "--quiet", "--package", "scrapefleet-api", "--bin", "crdgen"]),
        WITHIN,
    )
    .await?;
    let path = project.root.join(FILE);
    let same = std::fs::read_to_string(&path).is_ok_and(|found| found == wanted);
    if arguments.check {
        let verdict =
            if same { "is up to date" } else { "is not what the types say; run `cargo xtask crds`" };
        eprintln!("{FILE} {verdict}");
        return Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if !same {
        std::fs::create_dir_all(project.root.join("crds")).context("crds/ cannot be made")?;
        std::fs::write(&path, wanted).with_context(|| format!("{FILE} cannot be written"))?;
    }
    eprintln!("{FILE} {}", if same { "was up to date" } else { "written" });
    Ok(ExitCode::SUCCESS)
}
