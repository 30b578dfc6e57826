//! What the fleet's status says, for a person who watches.

use anyhow::{Context, Result};
use scrapefleet_api::{
    ScrapeFleetStatus,
    status::{ItemCounts, Phase},
};
use serde_json::Value;

/// Where the demo stands with its fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Battles are still wanted.
    Scraping,
    /// So many are stored.
    Stored,
    /// It never will be: the fleet says so.
    Failed(String),
}

/// What has been seen of the fleet so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The most battles held at one look.
    pub(super) held_peak: u64,
    /// How many are stored.
    pub(super) stored: u64,
}

impl Seen {
    /// Takes another look into account.
    pub(super) fn take(&mut self, status: &ScrapeFleetStatus) {
        let items = items(status);
        self.held_peak = self.held_peak.max(items.held.try_into().unwrap_or_default());
        self.stored = items.stored.try_into().unwrap_or_default();
    }
}

/// The status in an answer of `kubectl get scrapefleet NAME -o json`; an empty one where the operator has written none.
pub(super) fn read(json: &str) -> Result<ScrapeFleetStatus> {
    let mut fleet: Value = serde_json::from_str(json).context("kubectl said no JSON")?;
    match fleet["status"].take() {
        Value::Null => Ok(ScrapeFleetStatus::default()),
        status => serde_json::from_value(status).context("the fleet's status cannot be read"),
    }
}

/// Where the demo stands when it wants so many battles.
pub(super) fn standing(status: &ScrapeFleetStatus, wanted: u64) -> Standing {
    if u64::try_from(items(status).stored).unwrap_or_default() >= wanted {
        return Standing::Stored;
    }
    match status.phase {
        Some(Phase::Failed) => {
            Standing::Failed(plain(status.message.as_deref().unwrap_or("it does not say why")))
        }
        _ => Standing::Scraping,
    }
}

/// Whether a suspended fleet holds nothing any more.
pub(super) fn is_suspended(status: &ScrapeFleetStatus) -> bool {
    status.phase == Some(Phase::Suspended)
}

/// One line of progress.
pub(super) fn line(status: &ScrapeFleetStatus, wanted: u64) -> String {
    let Some(phase) = status.phase else { return "the operator has not seen the fleet yet".to_owned() };
    let ItemCounts { ready, held, stored, delayed, dead, .. } = items(status);
    let size = plain(status.size.as_deref().unwrap_or("-"));
    // As text first: what is derived takes no heed of a width.
    let phase_name = format!("{phase:?}");
    let mut parts = vec![
        format!("{phase_name:<9} bots {size}"),
        format!("held {held}"),
        format!("ready {ready}"),
        format!("stored {stored}/{wanted}"),
    ];
    for (count, what) in [(delayed, "delayed"), (dead, "dead")] {
        if count > 0 {
            parts.push(format!("{what} {count}"));
        }
    }
    if let Some(rate) = &status.rate {
        parts.push(plain(rate));
    }
    if matches!(phase, Phase::Pending | Phase::Degraded | Phase::Failed)
        && let Some(message) = &status.message
    {
        parts.push(plain(message));
    }
    parts.join("  ")
}

fn items(status: &ScrapeFleetStatus) -> ItemCounts {
    status.items.unwrap_or_default()
}

/// On one line and without anything that a terminal would obey: parts of it may come from a page.
fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(phase: &str, stored: i64) -> ScrapeFleetStatus {
        let items = json!({ "ready": 12, "held": 38, "stored": stored });
        let status = json!({ "phase": phase, "size": "1/1", "items": items, "rate": "8/min", "message": "all\u{1b}[2J\nwell" });
        read(&json!({ "status": status }).to_string()).unwrap()
    }

    #[test]
    fn a_line_says_what_a_person_wants_to_know() {
        assert_eq!(
            line(&status("Running", 7), 25),
            "Running   bots 1/1  held 38  ready 12  stored 7/25  8/min"
        );
        assert!(line(&ScrapeFleetStatus::default(), 25).contains("not seen"));
    }

    #[test]
    fn what_is_not_well_says_why_on_the_same_line() {
        let mut status = status("Degraded", 7);
        assert!(line(&status, 25).ends_with("8/min  all [2J well"), "{}", line(&status, 25));
        status.items = Some(ItemCounts { delayed: 2, dead: 1, ..ItemCounts::default() });
        assert!(line(&status, 25).contains("delayed 2  dead 1"));
    }

    #[test]
    fn it_goes_on_until_so_many_are_stored_or_it_fails() {
        assert_eq!(standing(&status("Running", 24), 25), Standing::Scraping);
        assert_eq!(standing(&status("Degraded", 24), 25), Standing::Scraping);
        assert_eq!(standing(&status("Running", 25), 25), Standing::Stored);
        assert_eq!(standing(&status("Failed", 24), 25), Standing::Failed("all [2J well".to_owned()));
        assert_eq!(standing(&ScrapeFleetStatus::default(), 25), Standing::Scraping);
    }

    #[test]
    fn the_peak_stays_and_the_count_is_the_latest() {
        let mut seen = Seen::default();
        for (held, stored) in [(3, 0), (9, 4), (2, 6)] {
            let items = ItemCounts { held, stored, ..ItemCounts::default() };
            seen.take(&ScrapeFleetStatus { items: Some(items), ..ScrapeFleetStatus::default() });
        }
        assert_eq!(seen, Seen { held_peak: 9, stored: 6 });
    }

    #[test]
    fn a_fleet_that_nobody_has_looked_at_has_an_empty_status() {
        assert_eq!(read(r#"{"kind": "ScrapeFleet"}"#).unwrap(), ScrapeFleetStatus::default());
        assert!(read("not found").is_err());
        assert!(is_suspended(&status("Suspended", 0)) && !is_suspended(&status("Draining", 0)));
    }
}
