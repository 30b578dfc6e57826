//! What a running cluster remembers of itself between two commands.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::files;
use super::layout::ClusterLayout;
use super::name::ClusterName;

/// What `up` decided and later commands have to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// How many nodes there are.
    pub(crate) nodes: u8,
    /// The folder of the programs it was started with.
    pub(crate) tools: PathBuf,
    /// The loopback port of this machine that leads to the API server.
    pub(crate) port: u16,
}

impl State {
    /// What the cluster in this folder remembers; none when there is no such cluster.
    pub(crate) fn load(root: &Path) -> Result<Option<Self>> {
        let file = file(root);
        if !file.exists() {
            return Ok(None);
        }
        let text = files::read(&file)?;
        serde_json::from_str(&text)
            .map(Some)
            .with_context(|| format!("{}: `cluster down` clears it away", file.display()))
    }

    /// Remembers it.
    pub(crate) fn save(&self, root: &Path) -> Result<()> {
        files::write(&file(root), &serde_json::to_string(self)?)
    }
}

/// The layout of a cluster that was started before.
pub(crate) fn running(name: ClusterName, cache: &Path) -> Result<(ClusterLayout, State)> {
    let mut layout = ClusterLayout::new(name, cache, PathBuf::new(), 0);
    match State::load(&layout.root)? {
        Some(state) => {
            layout.tools.clone_from(&state.tools);
            layout.nodes = state.nodes;
            Ok((layout, state))
        }
        None => bail!("there is no cluster {}: start it with `cargo xtask cluster up`", layout.name),
    }
}

fn file(root: &Path) -> PathBuf {
    root.join("cluster.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded_and_nothing_is_no_error() {
        let cache = tempfile::tempdir().unwrap();
        assert_eq!(State::load(cache.path()).unwrap(), None);
        let state = State { nodes: 2, tools: "/t".into(), port: 7 };
        state.save(cache.path()).unwrap();
        assert_eq!(State::load(cache.path()).unwrap(), Some(state));
    }

    #[test]
    fn a_cluster_that_is_not_there_is_named_with_what_to_do() {
        let cache = tempfile::tempdir().unwrap();
        let error = running(ClusterName::parse("x").unwrap(), cache.path()).unwrap_err().to_string();
        assert!(error.contains("no cluster x") && error.contains("cluster up"), "{error}");
    }
}
