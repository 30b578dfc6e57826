//! Calling Helm.

use std::{io::Write as _, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use serde::Deserialize as _;
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};
use tokio::process::Command;

use crate::{cluster, process};

/// How long one call may take; it takes a tenth of a second on a machine at rest.
const WITHIN: Duration = Duration::from_mins(1);

/// The name of the release. One of digits, as Kubernetes allows: YAML reads it as a number wherever a template has
/// forgotten the quotes.
const RELEASE: &str = "1";

/// The namespace of the release, for the same reason.
const NAMESPACE: &str = "2";

/// A Helm, and the chart it works on.
#[derive(Debug)]
pub(super) struct Helm {
    program: PathBuf,
    chart: PathBuf,
    /// In place of the caller's home: settings and plugins there must not matter.
    home: TempDir,
}

impl Helm {
    pub(super) fn new(program: PathBuf, chart: PathBuf) -> Result<Self> {
        let home = tempfile::tempdir().context("make a folder for helm")?;
        Ok(Self { program, chart, home })
    }

    /// What `helm lint --strict` has against the chart with these values.
    pub(super) async fn lint(&self, values: &Value) -> Result<Option<String>> {
        Ok(self.call(&["lint", "--strict"], &[], values).await?.err())
    }

    /// The objects that an installation with these values would make, its tests too; or what Helm said instead.
    pub(super) async fn render(&self, values: &Value) -> Result<Result<Vec<Value>, String>> {
        let text = self.call(&["template", RELEASE], &["--namespace", NAMESPACE], values).await?;
        Ok(text.and_then(|text| documents(&text).map_err(|error| format!("{error:#}"))))
    }

    async fn call(&self, before: &[&str], after: &[&str], values: &Value) -> Result<Result<String, String>> {
        let mut file = NamedTempFile::new_in(&self.home).context("make a file of values")?;
        file.write_all(values.to_string().as_bytes()).context("write a file of values")?;
        let mut command = Command::new(&self.program);
        command.args(before).arg(&self.chart).args(after);
        command.args(["--kube-version", &cluster::kubernetes_version(), "--values"]).arg(file.path());
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, self.home.path());
        }
        Ok(process::read(command, WITHIN).await.map_err(|error| format!("{error:#}")))
    }
}

/// The documents of a text in YAML, without the empty ones.
pub(super) fn documents(text: &str) -> Result<Vec<Value>> {
    let mut documents = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        // This type, unlike JSON's, refuses a key that is there twice.
        let document = serde_yaml_ng::Value::deserialize(document).context("it is not YAML")?;
        documents.push(serde_json::to_value(document).context("it is not plain YAML")?);
    }
    documents.retain(|document| !document.is_null());
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_and_empty_ones_left_out() {
        let text = "---\n# nothing\n---\nkind: A\n---\nkind: B\n";
        let kinds: Vec<_> = documents(text).unwrap().iter().map(|d| d["kind"].clone()).collect();
        assert_eq!(kinds, ["A", "B"]);
    }

    #[test]
    fn what_is_not_yaml_is_an_error() {
        assert!(documents("kind: [A").is_err());
        assert!(documents("a: 1\na: 2\n").is_err(), "a key twice");
    }
}
