//! `scrapefleet check`: says what is wrong with a manifest, or that nothing is.

use crate::{CliError, args::FleetArgs, fleet::Fleet};

/// Checks the manifest and says what it would do.
pub fn check(args: &FleetArgs) -> Result<(), CliError> {
    let fleet = Fleet::load(args)?;
    let bots = &fleet.spec.bots;
    println!(
        "{}: {} to {} bots of {} holds at {}, queue {}, store {}",
        fleet.name,
        bots.min,
        bots.max,
        bots.holds_per_bot,
        fleet.site,
        fleet.queue_place(),
        fleet.place_of(""),
    );
    Ok(())
}
