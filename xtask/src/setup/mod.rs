//! Set-up: facts about this machine -> a plan -> the plan carried out.
//!
//! The plan is a pure function of the facts; only `facts`, `apply` and `server` touch the machine.

mod apply;
mod facts;
mod plan;
mod server;

use std::time::Instant;

use anyhow::{Result, bail};

use crate::phase::spoken;
use facts::Facts;
pub(crate) use facts::on_path;
use plan::{Plan, Step, plan};

/// Makes sure that everything is there. One line when it is; otherwise what was found, each step with its time,
/// and what is there now.
pub(crate) async fn ensure() -> Result<()> {
    let started = Instant::now();
    let found = facts::gather().await;
    let steps = match plan(&found) {
        Plan::Blocked(why) => bail!("{why}\n(found: {found})"),
        Plan::Steps(steps) => steps,
    };
    let now = if steps.is_empty() { found } else { carry_out(&steps, &found).await? };
    let server = server::ensure().await?;
    eprintln!(
        "setup: all there: {now}, Showdown server in {} ({})",
        server.display(),
        spoken(started.elapsed())
    );
    Ok(())
}

/// Carries out the steps, looks again, and fails when that was not enough.
async fn carry_out(steps: &[Step], found: &Facts) -> Result<Facts> {
    eprintln!("setup: found {found}");
    for step in steps {
        let started = Instant::now();
        eprintln!("setup: {step} ...");
        apply::apply(step).await?;
        eprintln!("setup: {step}: done in {}", spoken(started.elapsed()));
    }
    let now = facts::gather().await;
    settled(&now)?;
    Ok(now)
}

/// After a plan was carried out nothing may be left to do.
fn settled(facts: &Facts) -> Result<()> {
    match plan(facts) {
        Plan::Steps(left) if left.is_empty() => Ok(()),
        Plan::Steps(left) => {
            let left: Vec<_> = left.iter().map(ToString::to_string).collect();
            bail!(
                "Debian's packages were installed, and yet there is still this to do: {}. Found on the PATH: {facts}. \
                 A program of another origin may stand before Debian's on the PATH",
                left.join(", ")
            )
        }
        Plan::Blocked(why) => bail!("{why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_install_did_not_mend_is_an_error_with_what_was_found() {
        let old_node = Facts::with_node("16.20");
        let error = settled(&old_node).unwrap_err().to_string();
        for part in ["install Debian's nodejs", "node 16.20", "PATH"] {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
        settled(&Facts::with_node("20.1")).unwrap();
    }
}
