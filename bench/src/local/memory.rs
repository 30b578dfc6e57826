//! Memory of a bot that holds 50 battles, and of its own process alone.

use std::time::Duration;

use anyhow::{Context, Result};
use procfs::process::Process;
use scrapefleet_browser::process_tree;
use scrapefleet_test_site::ShowdownSite;
use serde_json::Value;

use super::run::Run;
use crate::{Bound, Figure, suite::Measured};

/// How many battles are held.
const HELD: usize = 50;

/// Of the manifest's two lanes the other one keeps a hold to itself.
const HOLDS: [&str; 4] = [
    "spec.bots.holdsPerBot=51",
    "spec.politeness.held=51",
    "spec.politeness.actionsPerSecond=10",
    "spec.policies.abandonment.recycleAboveMib=4000",
];

/// How long all of them may take to be open.
const OPEN_WITHIN: Duration = Duration::from_mins(5);

/// Memory is read so often, so long apart, and the most counts.
const READS: u32 = 10;
const READ_EVERY: Duration = Duration::from_secs(3);

/// Measures both in one run.
pub(super) fn measure() -> Measured {
    Box::pin(async {
        // More battles at a time than are held, slow enough to go on for many minutes.
        let site = ShowdownSite::builder()
            .players(60)
            .choice_every(Duration::from_secs(6))
            .private_share(0.0)
            .forfeit_share(0.0)
            .lasting_share(0.0)
            .start()
            .await?;
        let run = Run::start(&site.url(), &HOLDS).await?;
        run.until("50 battles open in one bot", OPEN_WITHIN, |status| open(status) >= HELD).await?;
        let (all, own) = most(run.process_id()?).await?;
        run.stop().await?;
        site.stop().await?;
        Ok(vec![
            Figure::new(
                format!("{HELD} battles held in one bot: bot, its Chrome and the watcher's, PSS"),
                all,
                "MiB",
                Bound::AtMost(1024.0),
            ),
            Figure::new(
                format!("{HELD} battles held in one bot: the process of bot, watcher and queue, PSS"),
                own,
                "MiB",
                Bound::AtMost(40.0),
            ),
        ])
    })
}

/// How many items the first bot has open.
fn open(status: &Value) -> usize {
    let holds = status["bots"][0]["holds"].as_array().map_or(&[][..], Vec::as_slice);
    holds.iter().filter(|hold| hold["step"] == "open").count()
}

/// The most memory of the whole tree and of its root alone, in MiB.
async fn most(root: i32) -> Result<(f64, f64)> {
    let (mut all, mut own) = (0, 0);
    for _ in 0..READS {
        all = all.max(process_tree::memory(root).context("the run has ended")?);
        own = own.max(memory_of(root)?);
        tokio::time::sleep(READ_EVERY).await;
    }
    Ok((mib(all), mib(own)))
}

/// Proportional memory of one process, in bytes.
fn memory_of(process: i32) -> Result<u64> {
    let rollup = Process::new(process)?.smaps_rollup()?;
    let shares = rollup.memory_map_rollup.into_iter().find_map(|map| map.extension.map.get("Pss").copied());
    shares.context("the kernel does not tell proportional memory")
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people, of at most some TiB")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_open_counts_as_held() {
        let status =
            json!({ "bots": [{ "holds": [{ "step": "open" }, { "step": "waiting" }, { "step": "open" }] }] });
        assert_eq!(open(&status), 2);
        assert_eq!(open(&json!({ "bots": [] })), 0);
        assert_eq!(open(&Value::Null), 0);
    }

    #[test]
    fn a_process_has_memory_of_its_own() {
        let before = memory_of(rustix::process::getpid().as_raw_nonzero().get()).unwrap();
        let block = vec![1_u8; 64 << 20];
        let after = memory_of(rustix::process::getpid().as_raw_nonzero().get()).unwrap();
        assert!(after > before + (32 << 20), "{before} {after} {}", block.len());
    }
}
