//! The stored logs beside the server's own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures::TryStreamExt;
use scrapefleet_showdown::log;
use scrapefleet_store::{ArtifactStore, DirectoryStore};
use scrapefleet_test_site::GroundTruth;

/// Logs are some 10 kB; one of this size is none.
const LARGEST: usize = 16 << 20;

/// The server writes its own log a moment after a battle has ended; this is how often and how long one looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS: u32 = 40;

/// Stored logs by the id of their battle.
pub(super) type Logs = BTreeMap<String, String>;

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// How many stored logs were compared.
    pub(super) compared: usize,
    /// Those that are not what the server logged.
    pub(super) mismatches: Vec<Mismatch>,
}

/// A stored log that is not what the server logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// The battle.
    pub(super) id: String,
    /// The stored log.
    pub(super) stored: String,
    /// The server's own; none when it logged no such battle.
    pub(super) server: Option<String>,
    /// What is different.
    pub(super) why: String,
}

/// Reads every log in the folder of a store.
pub(super) async fn logs_in(folder: &Path) -> Result<Logs> {
    if !folder.exists() {
        return Ok(Logs::new());
    }
    stored_logs(&DirectoryStore::open_read_only(folder).await?).await
}

/// Reads every log in a store.
pub(super) async fn stored_logs(store: &impl ArtifactStore) -> Result<Logs> {
    let mut logs = Logs::new();
    let mut keys = store.list("").await?;
    while let Some(key) = keys.try_next().await? {
        if key.is_record() {
            continue;
        }
        let artifact =
            store.get(&key).await?.with_context(|| format!("{key} was listed and is not there"))?;
        let bytes = artifact.decoded(LARGEST).with_context(|| format!("{key} cannot be decoded"))?;
        let text = String::from_utf8(bytes.to_vec()).with_context(|| format!("{key} is not text"))?;
        logs.insert(artifact.metadata.item.to_string(), text);
    }
    Ok(logs)
}

/// What the server logged, which `look` tells: once it has logged all of `wanted`, or after some ten seconds whatever is
/// there.
pub(super) async fn server_logs(
    mut look: impl AsyncFnMut() -> Result<Vec<GroundTruth>>,
    wanted: &Logs,
) -> Result<Vec<GroundTruth>> {
    for _ in 1..LOOKS {
        let found = look().await?;
        let ids: BTreeSet<_> = found.iter().map(|battle| battle.id.as_str()).collect();
        if wanted.keys().all(|id| ids.contains(id.as_str())) {
            return Ok(found);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    look().await
}

/// Compares stored logs with the server's own, each in its canonical form.
pub(super) fn compare(stored: &Logs, server: &[GroundTruth]) -> Comparison {
    let server: BTreeMap<_, _> = server.iter().map(|battle| (battle.id.as_str(), battle.text())).collect();
    let mismatches =
        stored.iter().filter_map(|(id, log)| mismatch(id, log, server.get(id.as_str()))).collect();
    Comparison { compared: stored.len(), mismatches }
}

fn mismatch(id: &str, stored: &str, server: Option<&String>) -> Option<Mismatch> {
    let why = match server {
        None => "the server logged no such battle".to_owned(),
        Some(server) => log::compare(stored, server).err()?.to_string(),
    };
    Some(Mismatch { id: id.to_owned(), stored: stored.to_owned(), server: server.cloned(), why })
}

/// Writes both logs of every mismatch into `folder`, for a person to compare.
pub(super) fn write(mismatches: &[Mismatch], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for mismatch in mismatches {
        let server = mismatch.server.as_deref().unwrap_or(&mismatch.why);
        for (what, text) in [("stored", mismatch.stored.as_str()), ("server", server)] {
            write_log(folder, &mismatch.id, &format!("{what}.log"), text)?;
        }
    }
    Ok(())
}

/// Writes logs into `folder`, a file each.
pub(super) fn copy(logs: &Logs, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    logs.iter().try_for_each(|(id, log)| write_log(folder, id, "log", log))
}

fn write_log(folder: &Path, id: &str, extension: &str, text: &str) -> Result<()> {
    if id.contains('/') {
        bail!("`{id}` is no name for a file");
    }
    let path = folder.join(format!("{id}.{extension}"));
    fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(id: &str, log: &[&str]) -> GroundTruth {
        let log = log.iter().map(|line| (*line).to_owned()).collect();
        GroundTruth {
            id: id.to_owned(),
            format: String::new(),
            winner: None,
            turns: 1,
            end_type: String::new(),
            log,
        }
    }

    fn logs(entries: &[(&str, &str)]) -> Logs {
        entries.iter().map(|(id, log)| ((*id).to_owned(), (*log).to_owned())).collect()
    }

    #[test]
    fn equal_means_equal_once_canonical() {
        let stored = logs(&[("a", "|turn|1\n|c|x|hi\n|win|x"), ("b", "|turn|1\n|win|y")]);
        let server = [truth("a", &["|turn|1", "|win|x"]), truth("b", &["|turn|1", "|win|x"])];
        let found = compare(&stored, &server);
        assert_eq!((found.compared, found.mismatches.len()), (2, 1));
        let mismatch = &found.mismatches[0];
        assert_eq!((mismatch.id.as_str(), mismatch.server.as_deref()), ("b", Some("|turn|1\n|win|x")));
        assert!(mismatch.why.contains("line 2"), "{}", mismatch.why);
    }

    #[test]
    fn a_battle_that_the_server_never_had_is_a_mismatch() {
        let found = compare(&logs(&[("a", "")]), &[]);
        assert_eq!(found.mismatches.len(), 1);
        assert_eq!(found.mismatches[0].server, None);
    }

    #[test]
    fn battles_that_were_not_scraped_are_no_mismatch() {
        assert_eq!(compare(&logs(&[]), &[truth("a", &[])]), Comparison::default());
    }

    #[test]
    fn both_logs_of_a_mismatch_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let mismatch = Mismatch {
            id: "battle-1".to_owned(),
            stored: "s".to_owned(),
            server: None,
            why: "none".to_owned(),
        };
        write(&[mismatch], folder.path()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("battle-1.stored.log")).unwrap(), "s");
        assert!(folder.path().join("battle-1.server.log").exists());
    }

    #[test]
    fn logs_are_copied_to_files_of_their_names_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let copies = folder.path().join("copies");
        copy(&logs(&[("battle-1", "one"), ("battle-2", "two")]), &copies).unwrap();
        assert_eq!(fs::read_to_string(copies.join("battle-2.log")).unwrap(), "two");
        assert!(copy(&logs(&[("../battle-3", "")]), &copies).unwrap_err().to_string().contains("no name"));
        assert!(!folder.path().join("battle-3.log").exists());
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_is_asked_until_it_has_logged_all_but_not_for_ever() {
        let wanted = logs(&[("a", "")]);
        let mut asked = 0;
        let look = async || {
            asked += 1;
            Ok(if asked < 3 { vec![] } else { vec![truth("a", &[])] })
        };
        assert_eq!(server_logs(look, &wanted).await.unwrap().len(), 1);
        assert_eq!(asked, 3);
        assert!(server_logs(async || Ok(vec![]), &wanted).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_store_that_was_never_made_holds_no_logs() {
        assert_eq!(logs_in(Path::new("/nonexistent/store")).await.unwrap(), Logs::new());
    }
}
