//! The tests on a cluster: what it is made of, then those that disturb nobody, then those that must be alone.

use std::time::Instant;

use anyhow::Result;

use super::{
    Plan,
    cluster::Cluster,
    execution::{Execution, Outcome},
    preparation::Preparation,
    program,
};
use crate::project::Project;

/// Names the MinIO that tests of the store use.
const MINIO: &str = "SCRAPEFLEET_MINIO";

/// The tests on a cluster and on its programs, from the first build to the cluster's end.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    project: &'a Project,
    execution: Execution,
    preparation: Option<Preparation>,
    cluster: Option<Cluster>,
}

impl<'a> Lane<'a> {
    /// Begins to build what a cluster is made of, unless a person has named one or no test needs one. Fails where one is
    /// needed and could not be had.
    pub(super) async fn begin(project: &'a Project, plan: &Plan, execution: Execution) -> Result<Self> {
        let mut cluster = None;
        if plan.needs_a_cluster() {
            Cluster::check()?;
            cluster = Some(Cluster::find(project).await);
        }
        let prepares = cluster.as_ref().is_some_and(|cluster| !cluster.named);
        let preparation = prepares.then(|| Preparation::start(project)).transpose()?;
        Ok(Self { project, execution, preparation, cluster })
    }

    /// Once all of it is built: the tests on MinIO, then the cluster and the tests on it that others may run beside. Gives
    /// the sources of those that failed.
    pub(super) async fn beside(&mut self, plan: &Plan) -> Result<Vec<String>> {
        if let Some(preparation) = self.preparation.take() {
            preparation.finish().await?;
        }
        let mut failed = Vec::new();
        if !plan.on_minio.is_empty() {
            self.execution.variables.push((MINIO, program(self.project, "minio").await?.into()));
            failed.extend(self.execution.in_turn(&plan.on_minio).await);
        }
        if let Some(cluster) = &mut self.cluster {
            cluster.bring_up(self.project).await?;
            self.execution.variables.extend(cluster.variables(self.project).await?);
            failed.extend(self.execution.in_turn(&cluster.possible(plan.beside.clone())).await);
        }
        Ok(failed)
    }

    /// Once nothing else runs: the tests that harm the cluster, or measure time; none of chaos that would begin after `until`.
    pub(super) async fn alone(&self, plan: &Plan, until: Option<Instant>) -> Outcome {
        match &self.cluster {
            Some(cluster) => self.execution.alone(&cluster.possible(plan.alone.clone()), until).await,
            None => Outcome::default(),
        }
    }

    /// Ends what is still being built, and takes the cluster down if it was started for these tests.
    pub(super) async fn end(self) -> Result<()> {
        drop(self.preparation);
        match self.cluster {
            Some(cluster) => cluster.end(self.project).await,
            None => Ok(()),
        }
    }
}
