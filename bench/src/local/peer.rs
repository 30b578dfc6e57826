//! What the embedded queue is compared with: the plain ways to be just as safe.

use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use redb::{Database, TableDefinition};

use super::queue::per_second;

/// How long each peer is timed.
const FOR: Duration = Duration::from_secs(3);

/// As long as the JSON of a task.
const TASK: [u8; 250] = [b'x'; 250];

const READY: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("ready");
const HELD: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("held");

/// Appends to a file, with an fsync after each task.
pub(super) fn appends_per_second(path: &Path) -> Result<f64> {
    let mut file = File::create(path)?;
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < FOR {
        file.write_all(&TASK)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(per_second(count, started.elapsed().as_secs_f64()))
}

/// Moves tasks from a table of ready ones to a table of held ones, then removes them: two commits, each with its fsync.
pub(super) fn redb_cycles_per_second(path: &Path) -> Result<f64> {
    let database = Database::create(path)?;
    fill(&database, 20_000)?;
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < FOR {
        let Some(number) = claim(&database)? else { break };
        ack(&database, number)?;
        count += 1;
    }
    Ok(per_second(count, started.elapsed().as_secs_f64()))
}

fn fill(database: &Database, count: u64) -> Result<()> {
    let change = database.begin_write()?;
    {
        let mut ready = change.open_table(READY)?;
        for number in 0..count {
            ready.insert(number, TASK.as_slice())?;
        }
        change.open_table(HELD)?;
    }
    Ok(change.commit()?)
}

fn claim(database: &Database) -> Result<Option<u64>> {
    let change = database.begin_write()?;
    let number = {
        let mut ready = change.open_table(READY)?;
        let first = ready.pop_first()?.map(|(number, task)| (number.value(), task.value().to_vec()));
        let Some((number, task)) = first else { return Ok(None) };
        change.open_table(HELD)?.insert(number, task.as_slice())?;
        number
    };
    change.commit()?;
    Ok(Some(number))
}

fn ack(database: &Database, number: u64) -> Result<()> {
    let change = database.begin_write()?;
    change.open_table(HELD)?.remove(number)?;
    Ok(change.commit()?)
}

/// How many tasks are held; for the test.
#[cfg(test)]
fn held(database: &Database) -> Result<u64> {
    use redb::{ReadableDatabase, ReadableTableMetadata};
    Ok(database.begin_read()?.open_table(HELD)?.len()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_does_the_same_work() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path().join("peer.redb")).unwrap();
        fill(&database, 2).unwrap();
        let number = claim(&database).unwrap().unwrap();
        assert_eq!((number, held(&database).unwrap()), (0, 1));
        ack(&database, number).unwrap();
        assert_eq!(held(&database).unwrap(), 0);
        assert_eq!(claim(&database).unwrap(), Some(1));
        assert_eq!(claim(&database).unwrap(), None);
    }
}
