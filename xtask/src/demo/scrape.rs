//! The calls of the `scrapefleet` program that a demo makes.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::project::Project;

/// The manifest, under the root of the project.
const MANIFEST: &str = "examples/showdown.yaml";

/// The folder of the logs, under the data folder, as the manifest says.
pub(super) const STORE: &str = "artifacts";

/// How long the ledger of a few thousand items may take to verify.
const VERIFY_WITHIN: Duration = Duration::from_mins(2);

/// One scrape: the program, the site and the data.
#[derive(Debug)]
pub(super) struct Scrape {
    program: PathBuf,
    manifest: PathBuf,
    site: String,
    data: PathBuf,
    battles: u64,
    /// Where the run writes its report.
    pub(super) report: PathBuf,
}

impl Scrape {
    /// A scrape of the site at `url` into `data` until `battles` are stored.
    pub(super) fn new(project: &Project, url: &str, data: &Path, battles: u64) -> Self {
        Self {
            program: project.program("scrapefleet"),
            manifest: project.root.join(MANIFEST),
            site: format!("spec.site.url={url}"),
            data: data.to_owned(),
            battles,
            report: data.join("run.json"),
        }
    }

    /// The command that scrapes and shows its progress on this terminal.
    pub(super) fn run(&self) -> Command {
        let mut command = self.call("run");
        command.arg("--until-stored").arg(self.battles.to_string());
        command.args(["--port", "0", "--progress", "auto", "--report"]).arg(&self.report);
        command
    }

    /// The command that verifies what was scraped.
    pub(super) fn verify(&self) -> Command {
        self.call("verify")
    }

    fn call(&self, task: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args([task, "-f"]).arg(&self.manifest).args(["--set", &self.site, "--data"]).arg(&self.data);
        command
    }
}

/// The command that builds the program. Not for release: this task was built the same way, so most of the work is done, and
/// nothing in a demo waits for the processor but Chrome.
pub(super) fn build(project: &Project) -> Command {
    project.cargo(&["build", "--package", "scrapefleet-cli", "--bin", "scrapefleet"])
}

/// The ledger as JSON, from a call of `scrapefleet verify`. A ledger that does not balance is no error here: it is what
/// was found.
pub(super) async fn ledger(mut verify: Command) -> Result<String> {
    let output = verify.arg("--json").stdin(Stdio::null()).kill_on_drop(true);
    let output = Box::pin(output.output());
    let output = scrapefleet_policy::within(VERIFY_WITHIN, "scrapefleet verify", output)
        .await?
        .context("`scrapefleet verify` cannot be started")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if said.trim().is_empty() {
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::bail!("`scrapefleet verify` ended with {}: {}", output.status, complaint.trim());
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> Project {
        Project { root: "/p".into(), executable: "/t/xtask".into(), cargo: "cargo".into() }
    }

    #[test]
    fn the_call_is_the_one_that_a_person_would_type() {
        let command = Scrape::new(&project(), "http://127.0.0.1:4000", Path::new("/d"), 25).run();
        let words: Vec<_> = command.as_std().get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(
            words.join(" "),
            "run -f /p/examples/showdown.yaml --set spec.site.url=http://127.0.0.1:4000 --data /d --until-stored 25 \
             --port 0 --progress auto --report /d/run.json"
        );
        assert_eq!(command.as_std().get_program(), "/t/scrapefleet");
    }

    #[tokio::test]
    async fn a_verification_that_says_nothing_is_an_error_with_its_complaint() {
        let mut scrape = Scrape::new(&project(), "http://127.0.0.1:4000", Path::new("/d"), 25);
        scrape.program = "/bin/false".into();
        let error = ledger(scrape.verify()).await.unwrap_err().to_string();
        assert_eq!(error, "`scrapefleet verify` ended with exit status: 1: ");
    }
}
